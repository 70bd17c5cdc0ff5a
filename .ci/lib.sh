# Shared by `.ci/run` and `.ci/long`: installing programs, starting servers, and the summary.

# Programs that the tests use, and the Debian packages that contain them.
declare -A packages=(
    [curl]=curl
    [wget]=wget
    [aria2c]=aria2
    [axel]=axel
    [npm]=npm
    [chromium]=chromium
    [chromedriver]=chromium-driver
    [strace]=strace
    [faketime]=faketime
    [mkfs.ext4]=e2fsprogs
    [losetup]=mount
    [ps]=procps
    [psql]=postgresql-client
    [node]=nodejs
    [openssl]=openssl
    [make]=make
    [g++]=g++
    [setpriv]=util-linux
    [nginx]=nginx-light
    [haproxy]=haproxy
    [caddy]=caddy
    [apache2]=apache2
    [postfix]=postfix
    [ip]=iproute2
    [spamassassin]=spamassassin
    [w3m]=w3m
    [systemd-analyze]=systemd
    [unzip]=unzip
    [7z]=p7zip-full
    [bsdtar]=libarchive-tools
    [python3]=python3
    [promtool]=prometheus
    [redis-server]=redis-server
)

# Debian keeps servers here; only root has it in the path.
export PATH="$PATH:/usr/sbin:/sbin"

work="$(mktemp -d)"
summary="$work/summary"
started=$SECONDS
failed=0
postgres=""

finish() {
    local code=$?
    if [ -n "$postgres" ]; then
        as_postgres "$postgres/bin/pg_ctl" -D "$work/postgres/data" -m immediate stop >/dev/null 2>&1 || true
    fi
    echo
    echo "== Summary after $((SECONDS - started)) s"
    cat "$summary" 2>/dev/null || true
    if [ "$code" -eq 0 ]; then echo "All of it passed."; else echo "FAILED: see above."; fi
    rm -rf "$work"
}
trap finish EXIT

# step NAME COMMAND…: runs the command and records its result and duration. A failure doesn't stop the
# other steps, so that one run shows all failures.
step() {
    local name="$1" begun=$SECONDS
    shift
    echo
    echo "== $name: $*"
    if "$@"; then
        echo "ran      $name ($((SECONDS - begun)) s)" >>"$summary"
    else
        echo "FAILED   $name ($((SECONDS - begun)) s)" >>"$summary"
        failed=1
    fi
}

install_packages() {
    local missing=() program
    for program in "${!packages[@]}"; do
        command -v "$program" >/dev/null || missing+=("${packages[$program]}")
    done
    # A module of Debian's Python rather than a program: the mail server of the tests.
    /usr/bin/python3 -c 'import aiosmtpd' 2>/dev/null || missing+=(python3-aiosmtpd)
    /usr/bin/python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
    [ -n "${ONCELINK_TEST_POSTGRES:-}" ] || [ -n "$(postgres_folder)" ] || missing+=(postgresql)
    if [ "${#missing[@]}" -eq 0 ]; then
        echo "all programs are installed"
        return
    fi
    if [ "$(id -u)" -ne 0 ]; then
        echo "missing: ${missing[*]}; install them as root: apt-get install ${missing[*]}" >&2
        return 1
    fi
    echo "installing ${missing[*]}"
    apt-get update -qq || return 1
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "${missing[@]}"
}

# Prints the folder of the newest installed PostgreSQL server, or nothing.
postgres_folder() {
    find /usr/lib/postgresql -mindepth 1 -maxdepth 1 -type d 2>/dev/null | sort -V | tail -n 1
}

as_postgres() {
    setpriv --reuid postgres --regid postgres --init-groups "$@"
}

# Starts a PostgreSQL server for this run, unless $ONCELINK_TEST_POSTGRES names one.
start_postgres() {
    if [ -z "${ONCELINK_TEST_POSTGRES:-}" ]; then
        postgres="$(postgres_folder)"
        local port=15432
        # The server's user needs access to its folder.
        chmod 755 "$work"
        install -d -o postgres -g postgres -m 0700 "$work/postgres"
        as_postgres "$postgres/bin/initdb" -D "$work/postgres/data" -A trust -U root >/dev/null || return 1
        while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
        as_postgres "$postgres/bin/pg_ctl" -D "$work/postgres/data" -w -l "$work/postgres/log" \
            -o "-p $port -k $work/postgres -c listen_addresses=127.0.0.1 -c max_connections=400" start >/dev/null || return 1
        export ONCELINK_TEST_POSTGRES="postgres://root@127.0.0.1:$port/test"
        psql --no-psqlrc --quiet --command 'CREATE DATABASE test' "postgres://root@127.0.0.1:$port/postgres" || return 1
    fi
    psql --no-psqlrc --quiet --command 'SELECT 1' "$ONCELINK_TEST_POSTGRES" >/dev/null || return 1
    echo "PostgreSQL answers"
}

# axe-core finds accessibility problems in the pages. Its license (MPL-2.0) differs from ours, so it is
# downloaded and never becomes part of the repository.
fetch_axe() {
    local folder="$PWD/target/axe"
    mkdir -p "$folder"
    npm install --prefix "$folder" --no-save --no-audit --no-fund --ignore-scripts --loglevel=error axe-core@4.14.1
}

# Installs a package of PyPI in this version into a folder of `target/`, unless it is there.
pip_into() {
    local folder="$PWD/target/$1" package="$2" version="$3"
    if [ "$(cat "$folder/.version" 2>/dev/null)" != "$version" ]; then
        rm -rf "$folder"
        /usr/bin/python3 -m pip install --quiet --disable-pip-version-check --no-warn-script-location \
            --root-user-action ignore --target "$folder" "$package==$version" || return 1
        echo "$version" >"$folder/.version"
    fi
}

# Third-party upload clients for the tests.
fetch_upload_clients() {
    local folder="$PWD/target"
    mkdir -p "$folder/tus"
    npm install --prefix "$folder/tus" --no-save --no-audit --no-fund --ignore-scripts --loglevel=error \
        tus-js-client@4.3.1 || return 1
    pip_into tuspy tuspy 1.1.0 || return 1
    echo "tus-js-client and tuspy are installed"
}

# The official libraries by which receivers of webhooks verify signatures.
fetch_webhook_libraries() {
    local folder="$PWD/target"
    mkdir -p "$folder/webhooks-js"
    npm install --prefix "$folder/webhooks-js" --no-save --no-audit --no-fund --ignore-scripts --loglevel=error \
        standardwebhooks@1.1.1 || return 1
    pip_into webhooks-python standardwebhooks 1.1.0 || return 1
    echo "both standardwebhooks are installed"
}

# Schemathesis, which tests the API by its description.
fetch_schemathesis() {
    pip_into schemathesis schemathesis 4.32.5 || return 1
    echo "schemathesis is installed"
}

# The tests need both Exim and Postfix, but Debian's packages conflict. So Exim is only unpacked.
fetch_exim() {
    local folder="$PWD/target/exim" part
    if [ ! -x "$folder/usr/sbin/exim4" ]; then
        mkdir -p "$work/exim" "$folder"
        apt-get update -qq || return 1
        DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends \
            libdb5.3 libgnutls-dane0 libidn12 libidn2-0 libnsl2 libpcre2-8-0 || return 1
        (cd "$work/exim" && apt-get download -qq exim4-daemon-light) || return 1
        for part in "$work"/exim/*.deb; do dpkg-deb --extract "$part" "$folder" || return 1; done
    fi
    # The name of the user that Exim runs as.
    getent passwd Debian-exim >/dev/null ||
        useradd --system --no-create-home --shell /usr/sbin/nologin --user-group Debian-exim || return 1
    echo "Exim is unpacked"
}
