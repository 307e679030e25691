# What swift-up, swift-down and .ci/test share; sourced, not run.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${SERVERS_DIR:=$here/../../.servers}"

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# need_packages NAME...: installs what is missing of these Debian packages.
need_packages() {
  local missing=() name sudo= log
  for name; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
  done
  [ ${#missing[@]} != 0 ] || return 0
  say "installing ${missing[*]}"
  [ "$(id -u)" = 0 ] || sudo='sudo -n'
  log=$(mktemp)
  {
    apt-get install -s -qq "${missing[@]}" >/dev/null 2>&1 || $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
  } >"$log" 2>&1 || { tail -n 20 "$log" >&2; rm "$log"; die "cannot install ${missing[*]}"; }
  rm "$log"
}

# The start time of a process in clock ticks: with the pid it names one process.
started_at() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  stat=${stat##*) }
  set -- $stat
  [ "$1" != Z ] && printf '%s' "${20}"
}

# alive NAME: the process that start NAME left behind still runs.
alive() {
  local pid ticks
  read -r pid ticks 2>/dev/null <"$STATE/run/$1.pid" || return 1
  [ -n "$ticks" ] && [ "$(started_at "$pid")" = "$ticks" ]
}

# start NAME COMMAND...: runs it in the background, its output in log/NAME.log.
# Descriptor 8 is the lock of the state directory.
start() {
  local name=$1 pid
  shift
  alive "$name" && return
  setsid "$@" </dev/null >>"$STATE/log/$name.log" 2>&1 8>&- &
  pid=$!
  printf '%s %s\n' "$pid" "$(started_at "$pid")" >"$STATE/run/$name.pid"
}

# signal SIGNAL NAME: to that process and the workers of its group.
signal() {
  local pid ticks
  read -r pid ticks <"$STATE/run/$2.pid"
  kill "-$1" -- "-$pid" 2>/dev/null || kill "-$1" "$pid" 2>/dev/null || true
}

# stop NAME...: ends these processes and waits until they are gone.
stop() {
  local name tries
  for name; do
    ! alive "$name" || signal TERM "$name"
  done
  for name; do
    for ((tries = 0; tries < 300; tries++)); do
      alive "$name" || break
      [ $tries != 50 ] || signal KILL "$name"
      sleep 0.1
    done
    ! alive "$name" || die "$name does not end"
    rm -f "$STATE/run/$name.pid"
  done
}

# answers PORT PATH: whether an HTTP server on loopback answers.
answers() {
  curl --noproxy '*' -s -o /dev/null --max-time 5 "http://127.0.0.1:$1$2"
}

# wait_for NAME PORT PATH: until the server answers, or has died.
wait_for() {
  local end=$((SECONDS + 120))
  until answers "$2" "$3"; do
    if ! alive "$1" || [ $SECONDS -ge "$end" ]; then
      tail -n 20 "$STATE/log/$1.log" >&2
      die "$1 did not become ready"
    fi
    sleep 0.1
  done
}

# write FILE: the text on standard input, kept untouched where it is the same.
write() {
  local text
  text=$(cat)
  [ "$(cat "$1" 2>/dev/null)" = "$text" ] || (umask 077; printf '%s\n' "$text" >"$1")
}
