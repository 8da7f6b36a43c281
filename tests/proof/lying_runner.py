"""A runner for tests: passes requests on to the real bitnet-worker and lies about its answers.

lying_runner.py MODE COMMAND...
"""
import json
import subprocess
import sys
import time

mode, command = sys.argv[1], sys.argv[2:]

if mode == "fails":
    sys.stderr.write("no route to host\n")
    sys.exit(3)
if mode == "hangs":
    time.sleep(60)

worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def other_digits(text):
    return "".join("0" if c != "0" else "1" for c in text)


def lie(op, answer):
    if op == "hello":
        if mode == "other-version":
            answer["generator"] = "bittern 9.9.9"
        if mode == "other-protocol":
            answer["protocol"] = 99
        if mode == "false-fingerprint":
            answer["fingerprint"] = other_digits(answer["fingerprint"])
        if mode == "no-cores":
            answer["cores"] = 0
        if mode == "no-isa":
            del answer["isa"]
        if mode == "emulated":
            answer["emulated"] = True
    if op == "put" and mode == "wrong-hash":
        answer["sha256"] = other_digits(answer["sha256"])
    if op == "prove":
        if mode == "wrong-steps":
            answer["steps"] += 1
        if mode == "wrong-inputs":
            answer["inputs"] = answer["inputs"][1:]
        if mode == "wrong-reference":
            answer["reference"] = other_digits(answer["reference"])
        if mode == "other-kernel":
            answer["id"] = other_digits(answer["id"])
        if mode == "no-reason":
            answer["passed"], answer["reason"] = False, ""
        if mode == "no-verdict":
            del answer["passed"]
        if mode == "more-words":
            answer["note"] = "trust me"
    if op == "time":
        if mode == "too-fast":
            answer["samples"] = [[t / 1e7 for t in row] for row in answer["samples"]]
        if mode == "too-slow":
            answer["samples"] = [[t * 1e6 for t in row] for row in answer["samples"]]
        if mode == "negative":
            answer["samples"][0][0] *= -1
        if mode == "few-rounds":
            answer["samples"].pop()
        if mode == "few-kernels":
            answer["samples"][0].pop()
        if mode == "no-roof":
            answer["read_gb_s"] = []
        if mode == "no-times":
            del answer["samples"]
    if mode == "other-answer":
        answer["seq"] += 1
    return answer


for line in sys.stdin:
    op = json.loads(line)["op"]
    if mode == "dies-at-proof" and op == "prove":
        sys.stderr.write("connection reset\n")
        worker.kill()
        sys.exit(255)
    worker.stdin.write(line.encode())
    worker.stdin.flush()
    answer = worker.stdout.readline().decode()
    if mode == "garbles":
        answer = "Welcome to board\n"
    elif mode != "honest":
        answer = json.dumps(lie(op, json.loads(answer))) + "\n"
    sys.stdout.write(answer)
    sys.stdout.flush()
