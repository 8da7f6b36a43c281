#!/usr/bin/env bash
# bitnet-run chat from outside: on a terminal (a pseudo-terminal driven by Python) editing, history, Ctrl-C in an answer
# and at the prompt; through a pipe its commands, JSON and errors.
set -uo pipefail
run=$2/bin/bitnet-run
demo=$1/tests/data/demo
. "$1/tests/from_outside.sh" "$run"

# One turn; the same answer on any number of threads.
answer=$("$run" chat -m "$demo" -p "Who art thou?" -n 20 --seed 3 2>/dev/null) || complain "chat -p failed"
[ -n "$answer" ] || complain "chat -p answered nothing"
[ "$("$run" chat -m "$demo" -p "Who art thou?" -n 20 --seed 3 -t 1 2>/dev/null)" = "$answer" ] ||
  complain "chat -p answers otherwise on one thread"
[ "$("$run" chat -m "$demo" -p "Who art thou?" -n 20 --seed 3 --chat-template bitnet 2>/dev/null)" = "$answer" ] ||
  complain "the built-in template of the family is another than the demo's own"

# A conversation through a pipe.
printf 'Who?\n/save %s/c.json\n/reset\n\nWhence?\n/load %s/c.json\n/system Be brief.\n//x\n' "$scratch" "$scratch" |
  "$run" chat -m "$demo" --json -n 8 >"$scratch/out" 2>"$scratch/err" || complain "a piped conversation failed: $(cat "$scratch/err")"
python3 - "$scratch" <<'PY' || complain "the JSON of a conversation is not as it should be: $(cat "$scratch/out")"
import json, sys
turns = [json.loads(line) for line in open(sys.argv[1] + "/out")]
assert len(turns) == 3, turns
for turn in turns:
    assert turn["role"] == "assistant" and turn["content"] is not None
    assert len(turn["tokens"]) <= 8 and turn["prompt_tokens"] > turn["reused_tokens"] >= 0
    assert turn["stopped_by"] in ("count", "stop")
assert turns[1]["prompt_tokens"] < turns[2]["prompt_tokens"]
saved = json.load(open(sys.argv[1] + "/c.json"))["messages"]
assert saved == [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": turns[0]["content"]}], saved
PY

# complains WORD LINE...: the lines through a pipe end with status 1 and one error with the word.
complains() {
  local word=$1 code
  shift
  printf '%s\n' "$@" | "$run" chat -m "$demo" -n 4 -c 64 >/dev/null 2>"$scratch/err"
  code=$?
  [ $code = 1 ] || complain "$*: exit status $code, not 1"
  [ "$(grep -c '^error: ' "$scratch/err")" = 1 ] || complain "$*: not one error: $(cat "$scratch/err")"
  grep -q -- "$word" "$scratch/err" || complain "$*: no '$word' in $(cat "$scratch/err")"
}
complains 'is no command' /nosuch
complains 'needs a file' /save
complains 'none.json' "/load $scratch/none.json"
echo '{"messages": [{"role": "robot", "content": "x"}]}' >"$scratch/bad.json"
complains "'robot' is not system, user or assistant" "/load $scratch/bad.json"
complains 'cannot create' "/save $scratch/no/folder.json"
complains '/reset starts a new one' "$(printf 'x %.0s' $(seq 100))"
"$run" chat -m "$demo" --chat-template nosuch -p x >"$scratch/out" 2>"$scratch/err" && complain "--chat-template nosuch was taken"
grep -q 'neither a file nor a known template' "$scratch/err" || complain "--chat-template nosuch: $(cat "$scratch/err")"
printf '{{ messages[0].content }}\n{%% nosuch %%}' >"$scratch/t.jinja"
"$run" chat -m "$demo" --chat-template "$scratch/t.jinja" -p x >"$scratch/out" 2>"$scratch/err" && complain "a bad template was taken"
grep -q "t.jinja:2:4: the tag 'nosuch' is not supported" "$scratch/err" || complain "a bad template: $(cat "$scratch/err")"
golden=$1/tests/data/goldens/bitnet_b8_bf16
"$run" chat -m "$golden" -p x >"$scratch/out" 2>"$scratch/err" && complain "chat without a tokenizer"
[ "$(grep -c '^error: ' "$scratch/err")" = 1 ] || complain "chat without a tokenizer: $(cat "$scratch/err")"

# On a terminal.
cat >"$scratch/terminal.py" <<'PY'
import json, os, pty, re, select, signal, sys, time

run, demo, scratch = sys.argv[1:4]


class Terminal:
    def __init__(self, *arguments):
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm"
            os.environ["LC_ALL"] = "C"
            os.execv(run, [run, "chat", "-m", demo, *arguments])

    def expect(self, pattern, seconds=60):
        """What was printed up to and with the pattern, since the last one."""
        end = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.seen)
            if found:
                before, self.seen = self.seen[:found.end()], self.seen[found.end():]
                return before
            assert time.monotonic() < end, f"no {pattern!r} in {self.seen!r}"
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.fd, 4096).decode("utf-8", "replace")
                except OSError:
                    raise AssertionError(f"it ended before {pattern!r}: {self.seen!r}")

    def send(self, text):
        os.write(self.fd, text.encode())

    def ends(self, seconds=20):
        """Its exit status."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    self.seen += os.read(self.fd, 4096).decode("utf-8", "replace")
                except OSError:
                    pass
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        raise AssertionError(f"it does not end: {self.seen!r}")


# Ctrl-C stops an answer that would go on, and the conversation goes on.
t = Terminal("--temperature", "0.7", "--chat-template", scratch + "/endless.jinja", "-c", "512", "-n", "100000")
t.expect("/help lists the commands")
t.expect("> ")
t.send("Who?\r")
t.expect("\n.{20}")
t.send("\x03")
t.expect(r"\(stopped\)")
t.expect("> ")
t.send("/save " + scratch + "/t.json\r")
t.expect("saved 2 messages")
saved = json.load(open(scratch + "/t.json"))["messages"]
assert saved[0]["content"] == "Who?" and saved[1]["content"], saved
t.expect("> ")
# A line can be edited, and Ctrl-C on it only drops it.
t.send("/hexx\x7f\x7flp\r")
t.expect("Ctrl-C stops an answer")
t.expect("> ")
t.send("half a line\x03")
t.expect(r"\^C")
t.expect("> ")
t.send("/system caf\u00e9\r")
t.expect("system message set")
t.expect("> ")
t.send("/reset\r")
t.expect("a new conversation")
t.expect("> ")
# Ctrl-C at an empty prompt asks, a second one leaves.
t.send("\x03")
t.expect("again or Ctrl-D leaves")
t.expect("> ")
t.send("\x03")
assert t.ends() == 0

# The history outlives the program; Ctrl-D leaves.
t = Terminal()
t.expect("> ")
t.send("\x1b[A")
t.expect("/reset")
t.send("\x1b[A")
t.expect("caf\u00e9")
t.send("\r")
t.expect("system message set")
t.expect("> ")
t.send("/save " + scratch + "/u.json\r")
t.expect("saved 1 messages")
assert json.load(open(scratch + "/u.json"))["messages"] == [{"role": "system", "content": "caf\u00e9"}]
t.expect("> ")
t.send("\x04")
assert t.ends() == 0, t.seen
assert os.stat(os.environ["BITTERN_CACHE"] + "/chat_history").st_mode & 0o077 == 0

# A history that cannot be kept is no reason to fail.
os.environ["BITTERN_CACHE"] = "/proc/nowhere"
t = Terminal()
t.expect("> ")
t.send("/help\r")
t.expect("Ctrl-C stops an answer")
t.expect("> ")
t.send("/exit\r")
assert t.ends() == 0
PY
# Answers of the demo end by themselves soon: a template without an end of turn, and a prompt that it continues.
printf '{{ bos_token }}And it came to pass in those days, that {{ messages[-1].content }}' >"$scratch/endless.jinja"
python3 "$scratch/terminal.py" "$run" "$demo" "$scratch" || complain "the conversation on a terminal went wrong"
[ $bad = 0 ] && echo "chat: pipes, errors and a terminal"
exit $bad
