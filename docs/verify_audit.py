#!/usr/bin/env python3
"""Verifies a Fieldgate audit log from its description in audit.md alone; shares no code with the gateway.

    verify_audit.py DIR [KEYFILE]        exit status 0: sound, 1: not
"""
import glob, hashlib, hmac, json, os, sys

folder, key = sys.argv[1], None
if len(sys.argv) > 2:
    key = open(sys.argv[2], "rb").read().rstrip(b"\r\n")

def unsound(where, what):
    print(f"NOT SOUND: {where}: {what}")
    sys.exit(1)

def signed(part, message):
    mac = hmac.new(key, message.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(mac, part.get("mac", ""))

def heads():
    for line in open(os.path.join(folder, "audit.head"), "rb"):
        try:
            head = json.loads(line)
        except ValueError:
            continue
        message = f"fieldgate head\n{head['sequence']}\n{head['hash']}\n{head['segment']}\n{head['time']}"
        if key is None or signed(head, message):
            yield head

head = max(heads(), key=lambda head: head["sequence"], default=None)
if head is None:
    unsound("audit.head", "no head, or none that is signed with the key")
sequence, previous, lost, acts = 0, "0" * 64, None, set()
for path in sorted(glob.glob(os.path.join(folder, "audit-*.jsonl"))):
    for number, line in enumerate(open(path, encoding="utf-8", newline="\n"), 1):
        where = f"{path}:{number}"
        if not line.endswith("\n"):
            print(f"note: {where}: unfinished line")
            continue
        members = json.loads(line)
        stated = members.pop("hash")
        # RFC 8785 for what records hold: texts, whole numbers, true, lists and objects with plain names.
        canonical = json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        if line != '{"hash":"%s",%s\n' % (stated, canonical[1:]):
            unsound(where, "not canonical")
        if hashlib.sha256(canonical.encode()).hexdigest() != stated:
            unsound(where, "changed")
        if members["previous"] != previous:
            unsound(where, "does not follow the line before")
        record = members["record"]
        if members["sequence"] != sequence + 1:
            lost = (sequence + 1, members["sequence"] - 1)
        if record["type"] == "segment" and key is not None and "mac" in record:
            if not signed(record, f"fieldgate segment\n{members['sequence'] - 1}\n{previous}\n{record['segment']}"):
                unsound(where, "wrong signature")
        if lost and record["type"] != "segment":
            unsound(where, f"records {lost[0]} to {lost[1]} are missing")
        if record["type"] == "start" and record["head"] in ("missing", "differs"):
            unsound(where, "the head was missing or another one at this start")
        if record["type"] == "administration":
            if record["id"] in acts:
                print(f"warning: {where}: the act {record['id']} is recorded for the second time")
            acts.add(record["id"])
        sequence, previous = members["sequence"], stated
        if sequence == head["sequence"] and stated != head["hash"]:
            unsound(where, "not the record that the head names")
if sequence < head["sequence"]:
    unsound(folder, f"ends with record {sequence}, the head names record {head['sequence']}")
print(f"sound: {sequence} records, the last hash is {previous}")
