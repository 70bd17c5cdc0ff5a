//! The peers: nginx with `secure_link` (signed, remembers nothing), nginx with Lua and Redis (a handmade
//! solution), and rustypaste's one-shot files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::load;
use crate::md5::md5;
use crate::process::{Server, free_port};

const SECRET: &str = "a secret that a side-by-side run shares with itself";

/// Debian's folders of nginx modules and of the Lua library for Redis.
const LUA_MODULES: [&str; 2] =
    ["/usr/lib/nginx/modules/ndk_http_module.so", "/usr/lib/nginx/modules/ngx_http_lua_module.so"];
const LUA_REDIS: [&str; 2] = ["/usr/share/lua/5.1/nginx/redis.lua", "/usr/share/lua/5.1/resty/redis.lua"];

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/bin".into()])
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

fn log(dir: &Path) -> Stdio {
    Stdio::from(fs::File::options().create(true).append(true).open(dir.join("log")).unwrap())
}

/// nginx with `secure_link`; `None` when it is not installed.
pub fn secure_link(dir: &Path, files: &Path) -> Option<Server> {
    nginx(dir, files, "", "")
}

/// The same, with a Lua handler that spends the id in Redis, durably, before the file is sent.
pub fn lua_redis(dir: &Path, files: &Path) -> Option<Server> {
    let library = LUA_REDIS.iter().find(|path| Path::new(path).is_file())?;
    if !LUA_MODULES.iter().all(|path| Path::new(path).is_file()) {
        return None;
    }
    let module = if library.contains("/nginx/") { "nginx.redis" } else { "resty.redis" };
    let redis = redis(&dir.join("redis"))?;
    let port = redis.address.port();
    let modules = LUA_MODULES.map(|path| format!("load_module {path};\n")).concat();
    let spend = format!(
        "access_by_lua_block {{\n\
           local redis = require('{module}'):new()\n\
           redis:set_timeout(1000)\n\
           local ok = redis:connect('127.0.0.1', {port})\n\
           if not ok then return ngx.exit(503) end\n\
           local first, err = redis:set('t:' .. ngx.var.arg_id, 1, 'NX', 'EX', 93600)\n\
           if err then return ngx.exit(503) end\n\
           redis:set_keepalive(60000, 256)\n\
           if first == ngx.null then return ngx.exit(410) end\n\
         }}\n"
    );
    Some(nginx(dir, files, &modules, &spend)?.with(redis))
}

fn redis(dir: &Path) -> Option<Server> {
    let mut command = Command::new(program("redis-server")?);
    fs::create_dir_all(dir).unwrap();
    let address = free_port();
    command
        .args(["--port", &address.port().to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0"])
        .args(["--maxmemory-policy", "noeviction", "--dir", &dir.display().to_string()])
        .stderr(log(dir));
    Some(Server::start(command, address, || {
        use std::io::{Read, Write};
        let mut pong = [0; 7];
        std::net::TcpStream::connect(address)
            .and_then(|mut stream| {
                stream.write_all(b"PING\r\n")?;
                stream.read_exact(&mut pong)
            })
            .is_ok_and(|()| pong == *b"+PONG\r\n")
    }))
}

/// nginx with Debian's defaults, except for: no access log, `tcp_nopush off` (on, it stalls for 40 ms on
/// loopback), and keep-alive connections.
fn nginx(dir: &Path, files: &Path, modules: &str, spend: &str) -> Option<Server> {
    let mut command = Command::new(program("nginx")?);
    fs::create_dir_all(dir).unwrap();
    let address = free_port();
    let (folder, root) = (dir.display(), files.display());
    let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {folder}/{kind};\n"))
        .concat();
    let conf = format!(
        "{modules}\
         user root;\nworker_processes auto;\ndaemon off;\npid {folder}/pid;\nerror_log {folder}/log warn;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n{temp}\
           access_log off; sendfile on; tcp_nopush off; tcp_nodelay on;\n\
           keepalive_timeout 300; keepalive_requests 100000000;\n\
           default_type application/octet-stream;\n\
           server {{ listen {address} backlog=1024;\n\
             location /files/ {{ alias {root}/;\n\
               secure_link $arg_md5,$arg_expires;\n\
               secure_link_md5 \"$secure_link_expires$uri$arg_id {SECRET}\";\n\
               if ($secure_link = \"\") {{ return 403; }}\n\
               if ($secure_link = \"0\") {{ return 410; }}\n\
               {spend}\
               add_header Content-Disposition attachment;\n\
               add_header Cache-Control \"private, no-store\";\n\
             }} }} }}\n"
    );
    fs::write(dir.join("nginx.conf"), conf).unwrap();
    command.arg("-c").arg(dir.join("nginx.conf")).arg("-p").arg(dir).stderr(log(dir));
    Some(Server::start(command, address, || load::answers(address, "/", false)))
}

/// New signed paths for nginx, each with its own id.
pub fn sign(file: &str, count: usize) -> Vec<String> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let expires = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3600;
    let uri = format!("/files/{file}");
    let sign = |_| {
        let id = format!("{:016x}{:06x}", NEXT.fetch_add(1, Ordering::Relaxed), std::process::id());
        let signature = URL_SAFE_NO_PAD.encode(md5(format!("{expires}{uri}{id} {SECRET}").as_bytes()));
        format!("{uri}?md5={signature}&expires={expires}&id={id}")
    };
    (0..count).map(sign).collect()
}

/// The root that `cargo install` gets for rustypaste.
pub const RUSTYPASTE_ROOT: &str = "target/side_by_side";

/// rustypaste; `None` when it is not installed.
pub fn rustypaste(dir: &Path) -> Option<Server> {
    let local = Path::new(env!("CARGO_MANIFEST_DIR")).join(RUSTYPASTE_ROOT).join("bin/rustypaste");
    let mut command = Command::new(if local.is_file() { local } else { program("rustypaste")? });
    let address = free_port();
    fs::create_dir_all(dir.join("upload/oneshot")).unwrap();
    let conf = format!(
        "[config]\nrefresh_rate = \"60s\"\n\
         [server]\naddress = \"{address}\"\nmax_content_length = \"2GiB\"\nupload_path = \"{}/upload\"\n\
         timeout = \"300s\"\nexpose_version = false\nexpose_list = false\nhandle_spaces = \"replace\"\n\
         [landing_page]\ntext = \"ready\"\ncontent_type = \"text/plain; charset=utf-8\"\n\
         [paste]\nrandom_url = {{ type = \"petname\", words = 2, separator = \"-\" }}\n\
         default_extension = \"txt\"\nmime_override = []\nmime_blacklist = []\nduplicate_files = true\n\
         delete_expired_files = {{ enabled = false, interval = \"1h\" }}\n",
        dir.display()
    );
    fs::write(dir.join("rustypaste.toml"), conf).unwrap();
    command.env("CONFIG", dir.join("rustypaste.toml")).env("RUST_LOG", "warn").current_dir(dir);
    command.stderr(log(dir));
    Some(Server::start(command, address, || load::answers(address, "/", true)))
}

/// New one-shot files: what a client would upload beforehand, as links to one file. Removes those of earlier
/// rounds, because rustypaste searches its whole folder at each request.
pub fn one_shots(dir: &Path, files: &Path, file: &str, count: usize) -> Vec<String> {
    let folder = dir.join("upload/oneshot");
    fs::remove_dir_all(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    let name = |number| format!("once-{number:06}.bin");
    let link = |number| {
        fs::hard_link(files.join(file), folder.join(name(number))).unwrap();
        format!("/{}", name(number))
    };
    (0..count).map(link).collect()
}
