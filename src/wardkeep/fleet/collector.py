"""The collector: all questions of a host as one POSIX sh script, needing only /bin/sh and coreutils.

It is sent over the standard input of one session (`exec /bin/sh -s`) and answers in the frames that `frames.py` reads.
How it works there, and why:

- Each question runs in its own shell under `timeout`, its stdout and stderr cut by `head -c`: neither a hanging nor a
  flooding question costs the host more than its allowance. Answers wait in a folder of mode 700 (in memory where
  possible), removed by a trap, because the byte counts and digests of a frame must be known before its content is sent.
- `LANES` lanes take the next question from a list by creating a file exclusively (no fork), so one slow question does not
  hold up the others. Finished answers are framed in batches, after 0.3 s and then every second: a host that dies
  in the middle has delivered most of the others, and a quick round is one batch (each costs three processes).
- Every mark carries a nonce of the run that no question knows, so nothing a question prints can pass for a frame.
- A login that is not root gets one `sudo -n /bin/sh -s`. If that is refused, the run goes on and says so in its header.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Sequence

from wardkeep.core.errors import BadInput
from wardkeep.core.facts import Question

VERSION = 1
LANES = 4
STDERR_LIMIT = 256 << 10  # bytes of stderr kept per question; more makes the answer not whole
COMMAND = "exec /bin/sh -s"  # what the session runs: every login shell understands it
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+-]{0,99}")
# One argument of execve may be 128 KiB on Linux; a question travels as one.
_SCRIPT_LIMIT = 96 << 10

# $1 prefix of the answer's files, $2 stdout limit + 1, $3 the question, $4 its standard input.
_WRAPPER = (
    '{ { /bin/sh -c "$3" <"$4"; echo $? >"$1.rc"; } 2>&1 1>&3 3>&- | '
    f'head -c {STDERR_LIMIT + 1} >"$1.err" 3>&-; }} 3>&1 | head -c "$2" >"$1.out"'
)

_BODY = r"""
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
export PATH LC_ALL
umask 077
N=@NONCE@
n=@COUNT@
w='@WRAPPER@'
q() { case $1 in
@QUESTIONS@
esac; }
input() {
  input=/dev/null
@INPUT@
}
lane() {
  set -C
  i=0
  while [ "$i" -lt "$n" ]; do
    i=$((i + 1))
    true 2>/dev/null >"$d/$i.claim" || continue
    [ ! -e "$d/gone" ] || return
    q "$i"
    a= b= x=
    true 2>/dev/null >"$d/$i.out"; true 2>/dev/null >"$d/$i.err"
    read -r a z </proc/uptime
    timeout -k 2 "$t" /bin/sh -c "$w" wardkeep "$d/$i" "$l" "$s" "$input" </dev/null >/dev/null 2>&1
    e=$?
    read -r b z </proc/uptime
    read -r x <"$d/$i.rc"
    echo "id=$id exit=${x:--} ended=$e from=${a:--} to=${b:--}" >"$d/$i.ran"
  done 2>/dev/null
}
tick() {
  pause=0.3
  while sleep "$pause" >/dev/null || sleep 1 >/dev/null; do
    echo
    pause=1
  done
}
emit() {
  files= i=0
  while [ "$i" -lt "$n" ]; do
    i=$((i + 1))
    [ -s "$d/$i.ran" ] && [ -e "$d/$i.out" ] && [ -e "$d/$i.err" ] && [ ! -e "$d/$i.sent" ] || continue
    true >"$d/$i.sent"
    files="$files $d/$i.out $d/$i.err"
  done
  [ "$files" ] || return 0
  set -- $(wc -c $files)
  files=
  while [ $# -gt 3 ]; do
    i=${2%.out}
    read -r ran <"$i.ran"
    echo "$ran out=$1 err=$3" >"$i.meta"
    files="$files $i.meta $i.out $i.err"
    shift 4
  done
  set -- $(sha256sum $files)
  files=
  while [ $# -gt 5 ]; do
    i=${2%.meta}
    echo "answer $N $1 $3 $5" >"$i.head"
    printf '\nend %s\n' "$N" >"$i.end"
    files="$files $i.head $i.meta $i.out $i.err $i.end"
    shift 6
  done
  cat $files || return
  for i in $files; do true >"$i"; done
}
main() {
  d=
  for tool in cat date head id mktemp rm sha256sum timeout wc; do
    command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
  done
  if [ "$missing" ]; then printf '\nmissing %s%s\n' "$N" "$missing"; exit 70; fi
  now=$(date +%s)
  for base in /dev/shm /run /tmp /var/tmp -; do
    # What killed runs left, by age: a process number says nothing, other containers may share this folder. One may
    # also end in this very moment, and arithmetic on nothing ends the shell.
    for old in "$base"/wardkeep.??????; do
      made=$(date -r "$old" +%s) && [ $((now - made)) -gt 21600 ] && rm -rf "$old"
    done 2>/dev/null
    [ "$base" != - ] && d=$(mktemp -d "$base/wardkeep.XXXXXX" 2>/dev/null) && break
  done
  trap 'rm -rf "$d"' EXIT
  trap 'exit 70' HUP INT TERM PIPE
  boot=- kernel=-
  read -r boot 2>/dev/null </proc/sys/kernel/random/boot_id
  read -r kernel 2>/dev/null </proc/sys/kernel/osrelease
  uid=$(id -u)
  h="version=@VERSION@ time=$now boot=$boot kernel=$kernel uid=$uid sudo=$sudo folder=$base questions=$n"
  set -- $(echo "$h" | sha256sum)
  printf '\nwardkeep %s %s\n%s\n' "$N" "$1" "$h"
  [ "$base" != - ] || exit 70
  if [ "$uid" != 0 ] && [ "@NEEDS@" = root ]; then exit 70; fi
  input
  exec 2>/dev/null # stderr may be the same stream: from here on it carries frames only
  {
    lanes=
    for i in @LANES@; do
      lane &
      lanes="$lanes $!"
    done
    tick &
    tick=$!
    wait $lanes
    kill "$tick"
  } | {
    while read -r tick; do emit || break; done
    emit || true >"$d/gone"
  }
  echo "done $N $n"
  exit 0
}
missing=
main </dev/null
"""

_OUTER = r"""
s=$(cat <<'@MARK@'
@BODY@
@MARK@
)
if [ "$(id -u)" = 0 ]; then
  sudo=no
  eval "$s"
fi
printf 'sudo=yes\n%s\n' "$s" | sudo -n /bin/sh -s
case $? in 1 | 127) printf 'sudo=refused\n%s\n' "$s" | exec /bin/sh -s ;; esac
"""


def new_nonce() -> str:
    """32 hex digits nobody on the host can have known before the run."""
    return secrets.token_hex(16)


def quote(text: str) -> str:
    """`text` as one word for a POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def compose(
    questions: Sequence[Question],
    nonce: str,
    *,
    lanes: int = LANES,
    stdin: bytes = b"",
    needs_root: bool = False,
) -> bytes:
    """The script for one run. `stdin` is what every question reads (nothing, unless a change is carried out).

    With `needs_root` nothing is asked when privilege is refused. Raises BadInput for ids that could not name a frame or a
    file, for two different questions of one id, and for scripts too long for one argument (96 KiB).
    """
    cases = []
    seen: dict[str, Question] = {}
    for question in questions:
        if not _ID.fullmatch(question.id):
            raise BadInput(
                f"{question.id!r} cannot be a question's id", todo="Use letters, digits and ._:@+-"
            )
        if "\0" in question.script or len(question.script.encode()) > _SCRIPT_LIMIT:
            raise BadInput("the script is longer than 96 KiB or holds a NUL", where=question.id)
        if seen.setdefault(question.id, question) != question:
            raise BadInput("two different questions have this id", where=question.id)
    # Those that may take longest begin first, so that none of them is left over at the end.
    for number, question in enumerate(sorted(seen.values(), key=lambda q: -q.timeout), 1):
        cases.append(
            f"{number}) id={question.id} t={question.timeout} l={question.limit + 1} s={quote(question.script)} ;;"
        )
    feed = ""
    if stdin:
        data = base64.encodebytes(stdin).decode()
        feed = f"  input=$d/input; base64 -d >\"$input\" <<'{nonce}'\n{data}{nonce}"
    body = _BODY
    for name, value in (
        ("WRAPPER", _WRAPPER),
        ("VERSION", str(VERSION)),
        ("NONCE", nonce),
        ("COUNT", str(len(seen))),
        ("NEEDS", "root" if needs_root else "any"),
        ("LANES", " ".join("1" * max(1, min(lanes, len(seen))))),
        ("INPUT", feed),
        ("QUESTIONS", "\n".join(cases)),  # last: what is inserted is not looked at again
    ):
        body = body.replace(f"@{name}@", value, 1)
    # Not one replace after the other: the body holds the questions, which may contain anything.
    before, after = _OUTER.split("@BODY@")
    mark = f"body-{nonce}"
    return (before.replace("@MARK@", mark) + body + after.replace("@MARK@", mark)).encode()
