#!/bin/sh
# Installs the Debian packages that the tests need. Says what it does; does nothing when all is there.
#
#   tools/setup-debian.sh            what tools/test needs
#   tools/setup-debian.sh --build    only what the build needs
#   tools/setup-debian.sh --perf     also the peers that perf/compare measures against
#
# No service is started by the installation: while it runs, a policy-rc.d says no.
set -eu

# program:package. A crate's build script (glommio) calls git.
tests="cc:gcc git:git python3:python3 sipp:sip-tester baresip:baresip-core \
chromium:chromium chromedriver:chromium-driver ip:iproute2"
build="cc:gcc git:git"
perf="kamailio:kamailio rtpengine:rtpengine-daemon tshark:tshark"

wanted=$tests
case "${1-}" in
    --build) wanted=$build ;;
    --perf) wanted="$tests $perf" ;;
    "") ;;
    -h | --help) sed -n '2,8p' "$0" | cut -c3-; exit 0 ;;
    *) echo "setup: unknown argument $1 (see --help)" >&2; exit 2 ;;
esac

PATH=$PATH:/usr/sbin:/sbin
missing=
for pair in $wanted; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
# gcc only recommends the C library's headers.
echo '#include <stdio.h>' | cc -E - >/dev/null 2>&1 || missing="$missing libc6-dev"
if [ -z "$missing" ]; then
    echo "setup: all programs are there, nothing to install"
    exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "setup: this is not a Debian: install what these packages hold by hand:$missing" >&2
    exit 1
fi
as_root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null 2>&1 || { echo "setup: root or sudo is needed to install:$missing" >&2; exit 1; }
    as_root=sudo
fi

policy=/usr/sbin/policy-rc.d
made_policy=
restore() {
    if [ -n "$made_policy" ]; then $as_root rm -f "$policy"; fi
}
trap restore EXIT
trap 'exit 1' INT TERM HUP
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
    made_policy=yes
fi

echo "setup: installing with apt-get:$missing"
$as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
# Word splitting is meant: a package a word.
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
echo "setup: done"
