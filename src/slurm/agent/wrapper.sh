#!/bin/sh
# Beamway: runs one attempt of a job in its folder. The same text for every job, archived by Slurm; nothing secret is in it or in its environment.
# Lock, fence and exit record make that a job which Slurm forgot, remembers twice or starts again has its effects once (src/slurm/agent/README.md).
set -u
umask 027
job=$BEAMWAY_JOB_DIR
control=$job/control
attempts=$job/attempts
[ -n "${SLURM_ARRAY_TASK_ID:-}" ] && attempts=$attempts/t$SLURM_ARRAY_TASK_ID && mkdir -p "$attempts"
cd "$attempts" || exit 75

# 1. One at a time, wherever Slurm thinks it may run.
exec 9>>lock || exit 75
flock -w 60 9 || { echo 'beamway: an earlier attempt of this job still runs' >&2; exit 75; }

# 2. Only the newest submission counts.
read -r submission requeues < "$control/fence" || exit 75
[ "$submission" = "$BEAMWAY_SUBMISSION" ] || { echo 'beamway: this submission was superseded' >&2; exit 76; }

# 3. What has ended by itself is not run again, unless Beamway was asked to.
last=0
[ -e last ] && read -r last < last
if [ -e "$last/exit" ]; then
  read -r code how run _ < "$last/exit"
  [ "$how" = ended ] && [ "$run" = "$requeues" ] && exit "$code"
fi
if [ "${BEAMWAY_REQUEUE:-yes}" = no ] && [ -e "$last/started" ] && [ "$requeues" = 0 ]; then
  echo 'beamway: this job may run once only, and has' >&2
  exit 77
fi
n=$((last + 1))
mkdir "$n" || [ -d "$n" ] || exit 75
echo "$n" > last.new && mv -f last.new last
nodes=${SLURM_JOB_NODELIST:-localhost}
case $nodes in *\[*) nodes=$(scontrol show hostnames "$nodes" 2> /dev/null | tr '\n' ,) && nodes=${nodes%,} ;; esac
# One short line in one write: who reads half of it reads nothing (read-attempts.ts).
echo "$submission ${SLURM_JOB_ID:-0} $nodes $(date +%s.%N)" > "$n/started"

# A signal to us is one to the whole attempt: Slurm ends it, and its exit is not the script's own.
how=ended
trap 'how=signalled' TERM INT HUP XCPU
# Those are the script's alone; a handler, as an ignored signal would be ignored by the script too.
trap : USR1 USR2
record() { # code
  echo "$1 $how $requeues $(date +%s.%N)" > "$n/exit"
}

# 4. Streams are claimed for this attempt alone; a claim read by somebody else afterwards is worth nothing.
exchange() { # url; the request's body on the standard input
  if command -v curl > /dev/null; then
    curl -sS -m 5 --noproxy '*' -H 'content-type: application/json' --data-binary @- -w '\n%{http_code}' "$1" 2>&1
  else
    python3 -E -s -c '
import sys, urllib.error, urllib.request
ask = urllib.request.Request(sys.argv[1], sys.stdin.buffer.read(), {"content-type": "application/json"})
try:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(ask, timeout=5) as a: print(a.read(65536).decode()); print(a.status, end="")
except urllib.error.HTTPError as e: print("\n%d" % e.code, end="")
except Exception as e: print("%s\n000" % e, end="")' "$1" 2>&1
  fi
}
claim_streams() {
  (
    umask 077
    printf '{"streams":{' > "$n/streams.new"
    first=
    while read -r stream url secret; do
      tries=0
      while :; do
        # Read again each time: a repeated submit brings new claims, and the old ones are void then.
        newest=$(grep "^$stream " "$control/claims") && secret=${newest##* } && url=${newest% *} && url=${url#* }
        answer=$(printf '{"claim":"%s","job":"%s","attempt":%d}' "$secret" "$BEAMWAY_JOB_ID" "$n" | exchange "$url")
        status=$(printf '%s' "$answer" | tail -n 1)
        [ "$status" = 200 ] && break
        tries=$((tries + 1))
        case $status in 404 | 000 | 5??) [ $tries -lt 60 ] && sleep 0.5 && continue ;; esac
        echo "beamway: stream $stream: its node answered $status to the claim" >&2
        exit 1
      done
      printf '%s"%s":%s' "$first" "$stream" "$(printf '%s' "$answer" | sed '$d')" >> "$n/streams.new"
      first=,
    done < "$control/claims"
    printf '}}' >> "$n/streams.new"
    mv -f "$n/streams.new" "$n/streams.json"
  )
}
if [ -s "$control/claims" ]; then
  claim_streams || { how=unattached; record 74; exit 74; }
  export BEAMWAY_STREAMS="$attempts/$n/streams.json"
fi

# 5. The user's own: working directory, output, variables and arguments. In a shell of its own, so that no variable of his changes what follows.
export BEAMWAY_ATTEMPT="$n" BEAMWAY_NODES="$nodes" BEAMWAY_NATIVE_ID="${SLURM_JOB_ID:-}"
work=$job/work limit='' stdout=$attempts/$n/stdout stderr=$attempts/$n/stderr
. "$control/run"
timeout=$(command -v timeout) || limit=''
begun=
[ -n "$limit" ] && begun=$(date +%s)
(
  cd "$work" || { echo "beamway: the working directory $work cannot be entered" >&2; exit 73; }
  . "$control/command"
  exec ${limit:+"$timeout" --kill-after=5 "$limit"} "$control/script" "$@" < /dev/null >> "$stdout" 2>> "$stderr"
)
code=$?
[ -n "$limit" ] && [ $(($(date +%s) - begun)) -ge "$limit" ] && case $code in 124 | 137 | 143) how=time-limit ;; esac
# Ended by a signal: Slurm signals every process, and ours may be on its way. If it is not, nobody knows who sent the script's.
case $code in 129 | 130 | 137 | 143) [ "$how" = ended ] && sleep 0.2; [ "$how" = ended ] && how=killed ;; esac
record "$code"
exit "$code"
