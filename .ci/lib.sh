# What `.ci/run` and `.ci/long` share: the programs they need, servers of their own, and a summary.

# Programs that the tests drive, and the Debian packages that bring them.
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
    [setpriv]=util-linux
    [nginx]=nginx-light
    [haproxy]=haproxy
    [caddy]=caddy
    [apache2]=apache2
    [postfix]=postfix
    [ip]=iproute2
    [spamassassin]=spamassassin
    [w3m]=w3m
)

# Where Debian keeps servers, which only root has in the path.
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

# step NAME COMMAND…: runs it, says so, and notes how it went and how long it took. What fails does
# not stop the rest: one run tells all.
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
    # No program but a module of Debian's own Python: the mail server of the tests.
    /usr/bin/python3 -c 'import aiosmtpd' 2>/dev/null || missing+=(python3-aiosmtpd)
    /usr/bin/python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
    [ -n "${ONCELINK_TEST_POSTGRES:-}" ] || [ -n "$(postgres_folder)" ] || missing+=(postgresql)
    if [ "${#missing[@]}" -eq 0 ]; then
        echo "all programs are there"
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

# The folder of the newest PostgreSQL server that is installed; nothing where there is none.
postgres_folder() {
    find /usr/lib/postgresql -mindepth 1 -maxdepth 1 -type d 2>/dev/null | sort -V | tail -n 1
}

as_postgres() {
    setpriv --reuid postgres --regid postgres --init-groups "$@"
}

# A PostgreSQL of this run's own, unless $ONCELINK_TEST_POSTGRES names another.
start_postgres() {
    if [ -z "${ONCELINK_TEST_POSTGRES:-}" ]; then
        postgres="$(postgres_folder)"
        local port=15432
        # The server's own user must get through to its folder.
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

# What looks for faults of accessibility in the pages. Its licence (MPL-2.0) is not ours, so it is
# fetched and never becomes part of the repository.
fetch_axe() {
    local folder="$PWD/target/axe"
    mkdir -p "$folder"
    npm install --prefix "$folder" --no-save --no-audit --no-fund --ignore-scripts --loglevel=error axe-core@4.14.1
}

# The clients of others that upload in the tests.
fetch_upload_clients() {
    local folder="$PWD/target"
    mkdir -p "$folder/tus"
    npm install --prefix "$folder/tus" --no-save --no-audit --no-fund --ignore-scripts --loglevel=error \
        tus-js-client@4.3.1 || return 1
    if [ "$(cat "$folder/tuspy/.version" 2>/dev/null)" != 1.1.0 ]; then
        rm -rf "$folder/tuspy"
        /usr/bin/python3 -m pip install --quiet --disable-pip-version-check --no-warn-script-location \
            --root-user-action ignore --target "$folder/tuspy" tuspy==1.1.0 || return 1
        echo 1.1.0 >"$folder/tuspy/.version"
    fi
    echo "tus-js-client and tuspy are there"
}

# Debian's Exim and its Postfix exclude each other as packages, and tests need both: this one is only unpacked.
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
    # The user that it works as, by name.
    getent passwd Debian-exim >/dev/null ||
        useradd --system --no-create-home --shell /usr/sbin/nologin --user-group Debian-exim || return 1
    echo "Exim is there"
}
