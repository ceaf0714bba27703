"""The collector's POSIX sh, as text with `@NAME@` places that `collector.py` fills. How it works is said there."""

from __future__ import annotations

# One `sh` under one `timeout` asks a group of questions one after the other. A question's stdout is a named pipe, and one
# `cp` for all takes the pipes in turn: no question costs a process for its output, no write error goes unseen (what a tool
# does about a full disk is its own affair, `cp` says it), and who holds a pipe open holds up the next question as if it
# ran on. stderr, which nothing is read from but the words of a failure, goes to its file at once, under a limit for files.
# A question alone has a pipe and a `cp` for stderr too and may write what it likes: those are apt's, and changes.
# On fd 3 go `begin NUMBER UPTIME`, `end NUMBER EXIT FROM TO` and what `cp` complains of.
# $1 folder, $2 seconds of slack, $3 blocks of 512 bytes an answer may have, $4 what a question reads, $5 the numbers, then
# the questions.
ASK = r"""
d=$1 m=$2 b=$3 input=$4 n=$5
shift 5
o= k= r=
for i in $n; do o="$o $d/i/$i.out"; done
(trap "" XFSZ; ulimit -f "$b"; exec cp $o "$d") 2>&3 &
c=$!
if [ -p "$d/i/$n.err" ]; then
  (trap "" XFSZ; ulimit -f "$b"; exec cp "$d/i/$n.err" "$d") 2>&3 &
  k=$!
fi
read -r a z </proc/uptime
t=$((${a%.*} + m))
for i in $n; do
  # Waits until `cp` is through with the answer before, which has ended only then.
  exec 4>"$d/i/$i.out"
  if [ "$k" ]; then exec 5>"$d/i/$i.err"; else exec 5>"$d/$i.err"; fi
  if [ "$r" ] && [ "${a%.*}" -ge "$t" ]; then
    echo "$r" >&3
    kill "$c"
    exit 0
  fi
  echo "${r:+$r
}begin $i $a" >&3
  (
    exec >&4 2>&5 3>&- 4>&- 5>&- <"$input"
    [ "$k" ] || { trap "" XFSZ; ulimit -f "$b"; }
    s=$1
    set --
    unset d m b input n o c k z r t i a x
    eval "unset s
$s"
  )
  x=$?
  exec 4>&- 5>&-
  shift
  r="end $i $x $a"
  read -r a z </proc/uptime
  r="$r $a"
done
wait "$c"
[ -z "$k" ] || wait "$k"
echo "$r" >&3
"""

BODY = r"""
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
export PATH LC_ALL
umask 077
N=@NONCE@
n=@COUNT@
w=@ASK@
q() { case $1 in
@QUESTIONS@
esac; }
input() {
  input=/dev/null
@INPUT@
}
# Seconds for each, slack, blocks, then the numbers: asked until each has ended, been ended, or could not be begun. What
# became of each goes to stdout in a line (number, exit status, how it was ended, from, to), and `go` after each round, with a
# word where that may wait for other lanes.
group() {
  t=$1 m=$2 b=$3
  shift 3
  left=$*
  set -f
  while [ "$left" ] && [ ! -e "$d/gone" ]; do
    set --
    for i in $left; do
      q "$i"
      set -- "$@" "$s"
    done
    most=$t
    [ $# = 1 ] || most=$((t + m + 1))
    said=$(
      timeout -k 2 "$most" /bin/sh -c "$w" wardkeep "$d" "$m" "$b" "$input" "$left" "$@" 3>&1 >/dev/null 2>&1 </dev/null &
      wait "$!"
      e=$?
      # It made a process group of its own. What is left in it gets a moment to clean up, and then nothing holds the pipes.
      [ "$e" = 0 ] || sleep 1
      kill -s KILL -- "-$!"
      exit "$e"
    )
    e=$?
    begun= complaints= progress=
    IFS='
'
    for line in $said; do
      case $line in
      "begin "*) begun=${line#begin } ;;
      "end "*)
        line=${line#end }
        i=${line%% *}
        line=${line#* }
        case $complaints in
        *"/$i.out"* | *"/$i.err"*) echo "$i - 75 ${line#* }" ;;
        *) echo "$i ${line%% *} 0 ${line#* }" ;;
        esac
        begun= progress=1 left=${left#"$i"}
        left=${left# }
        ;;
      *) complaints="$complaints $line" ;;
      esac
    done
    IFS=' '
    z=
    read -r z line </proc/uptime
    for i in $left; do
      if [ "$i" = "${begun% *}" ]; then
        line="$e ${begun#* } ${z:-0}"
      elif [ -z "$begun$progress" ]; then
        line="126 - -"
      else
        break
      fi
      true >>"$d/$i.out"
      true >>"$d/$i.err"
      echo "$i - $line"
      left=${left#"$i"}
      left=${left# }
    done
    echo "go $waits"
  done
}
# Keep the first bytes of an answer that is too long, or nothing of it.
cut() { head -c "$3" "$1.$2" >"$1.cut" && mv "$1.cut" "$1.$2" || lose "$1"; }
lose() {
  true >"$1.out"
  true >"$1.err"
  ran="- 75 - -" out=0 err=0
  return 1
}
# Send what has ended and was not sent yet: four processes and one file an answer, however many answers.
emit() {
  files=$first
  for i in $ready; do
    eval "ran=\$ran$i"
    case $ran in "- 75 "*)
      # Either it is longer than it may be, which its size says, or there was no room: then its own is needed now.
      q "$i"
      [ $(($(stat -c %s "$d/$i.out"))) -ge "$l" ] || [ $(($(stat -c %s "$d/$i.err"))) -gt @STDERR@ ] || lose "$d/$i"
      ;;
    esac
    files="$files $d/$i.out $d/$i.err"
  done
  [ "$files" ] || return 0
  set -- $(stat -c '%s %Y %n' $files)
  files=
  if [ "$first" ]; then
    echo "version=@VERSION@ time=$2 boot=$boot kernel=$kernel uid=$uid sudo=$sudo folder=$base questions=$n" >"$d/h.meta"
    printf '\nend %s\n' "$N" >"$d/tail"
    files=" $d/h.meta"
    shift 3
  fi
  while [ $# -gt 5 ]; do
    p=${3%.out} out=$1 err=$4 i=${3##*/}
    i=${i%.out}
    q "$i"
    eval "ran=\$ran$i"
    [ "$out" -le "$l" ] || { cut "$p" out "$l" && out=$l; }
    [ "$err" -le @STDERR@ ] || { cut "$p" err @STDERR@ && err=@STDERR@; }
    x=${ran%% *} ran=${ran#* }
    e=${ran%% *} ran=${ran#* }
    eval "told$i=\"id=\$id exit=\$x ended=\$e from=\${ran% *} to=\${ran#* } out=\$out err=\$err\""
    [ "$out" = 0 ] || files="$files $p.out"
    [ "$err" = 0 ] || files="$files $p.err"
    shift 6
  done
  set --
  [ ! "$files" ] || set -- $(sha256sum $files)
  files= mark=
  if [ "$first" ]; then
    printf '\nwardkeep %s %s\n' "$N" "${1-}" >"$d/h.head"
    files="$d/h.head $d/h.meta"
    [ $# = 0 ] || shift 2
  fi
  # The head of an answer follows the end mark of the one before.
  p=$d/h
  for i in $ready; do
    p=$d/$i out=@EMPTY@ err=@EMPTY@
    eval "told=\$told$i"
    files="$files $p.head"
    if [ "${2-}" = "$p.out" ]; then out=$1 files="$files $2"; shift 2; fi
    if [ "${2-}" = "$p.err" ]; then err=$1 files="$files $2"; shift 2; fi
    echo "${mark}answer $N $out $err
$told
$told" >"$p.head"
    mark="
end $N
"
  done
  [ -s "$p.head" ] || { printf '\nfull %s\n' "$N"; return 1; }
  [ ! "$mark" ] || files="$files $d/tail"
  first= ready=
  # In large pieces (collector.py says why). A file that cannot be read is an answer that is not whole, which the reader
  # finds; `dd` fails where nobody takes what is sent any more.
  cat $files | dd ibs=64k obs=64k
}
# Folders that killed runs left, by age: a process number says nothing, other containers may share the place.
sweep() {
  set -- $(stat -c '%Y %n' "$d" "$@")
  now=$1
  while [ $# -gt 1 ]; do
    [ "$2" = "$d" ] || [ $((now - $1)) -lt 21600 ] || rm -rf "$2"
    shift 2
  done
}
main() {
  d=
  for tool in cat cp dd head id mkdir mkfifo mv rm sha256sum sleep stat timeout; do
    command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
  done
  if [ "$missing" ]; then printf '\nmissing %s%s\n' "$N" "$missing"; exit 70; fi
  trap 'rm -rf "$d"' EXIT
  trap 'exit 70' HUP INT TERM PIPE
  exec 2>/dev/null # the session's stderr may be its stdout: from here on it carries frames only
  for base in /dev/shm /run /tmp /var/tmp -; do
    d=$base/wardkeep.@FOLDER@
    mkdir "$d" "$d/i" "$d/round" || continue
    first=$d/begun
    echo >"$first"
    [ ! -s "$first" ] || break
    rm -rf "$d"
  done
  # After the file whose time is told as this host's clock: who hears this mark knows that the clock was read before.
  printf '\nbegun %s\n' "$N"
  [ "$uid" ] || uid=$(id -u)
  boot=- kernel=-
  read -r boot </proc/sys/kernel/random/boot_id
  read -r kernel </proc/sys/kernel/osrelease
  if [ "$base" = - ]; then
    d=
    h="version=@VERSION@ time=- boot=$boot kernel=$kernel uid=$uid sudo=$sudo folder=- questions=$n"
    set -- $(echo "$h" | sha256sum)
    printf '\nwardkeep %s %s\n%s\n' "$N" "$1" "$h"
    exit 70
  fi
  set --
  for old in "$base"/wardkeep.?*; do
    case $old in *[!A-Za-z0-9./]*) continue ;; esac
    [ "$old" = "$d" ] || [ ! -d "$old" ] || set -- "$@" "$old"
  done
  [ $# = 0 ] || sweep "$@"
  if [ "$uid" != 0 ] && [ "@NEEDS@" = root ]; then
    n=0
    emit
    exit 70
  fi
  input
  WARDKEEP_ROUND=$d/round
  export WARDKEEP_ROUND
  set --
  i=0
  while [ "$i" -lt "$n" ]; do
    i=$((i + 1))
    set -- "$@" "$d/i/$i.out"
  done
  for i in @ALONE@; do
    set -- "$@" "$d/i/$i.err"
  done
  [ $# = 0 ] || mkfifo "$@"
  {
@LANES@
    wait
  } | {
    read -r start z </proc/uptime
    while read -r i ran; do
      if [ "$i" = go ]; then
        # A slow one that ends at once waits for the quick ones, which end soon.
        [ "$ran" ] && [ "$first" ] && read -r now z </proc/uptime && [ "${now%.*}" -le "$((${start%.*} + 1))" ] ||
          emit || { true >"$d/gone"; exit 70; }
      else
        ready="$ready $i"
        eval "ran$i=\$ran"
      fi
    done
    emit && echo "done $N $n"
  }
  exit 0
}
missing= ready= waits=
main </dev/null
"""

OUTER = r"""
s=@BODY@
uid= key=
while read -r key z uid z; do
  [ "$key" != Uid: ] || break
done 2>/dev/null </proc/self/status
[ "$key" = Uid: ] || uid=$(id -u)
if [ "$uid" = 0 ]; then
  sudo=no
  eval "$s"
fi
printf 'sudo=yes uid=\n%s\n' "$s" | sudo -n /bin/sh -s
x=$? r=refused
command -v sudo >/dev/null || r=missing
case $x in 1 | 127) printf 'sudo=%s uid=\n%s\n' "$r" "$s" | exec /bin/sh -s ;; esac
"""
