"""Stands in for gcloud: writes down each call and what it was fed, and remembers what was created.

The scripts find a command of that name which hands its words over a socket: they call it some hundred times, and a
Python of its own for each would take most of a test run.
"""

import json
import re
import shlex
import socketserver
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from tests.waiting import finish

ADDRESS = "203.0.113.7"
NUMBER = "123456789012"
VERBS = ("describe", "create", "delete", "update", "http")

# Sends the project, the number of words, the words and standard input, each ended by a zero byte; gets code and text.
COMMAND = """#!/usr/bin/env bash
exec 3<>/dev/tcp/127.0.0.1/{port}
fed=
for word in "$@"; do
  if [[ $word == --*=- ]]; then fed=$(cat; printf x); fi
done
printf '%s\\0' {project} "$#" "$@" "${{fed%x}}" >&3
IFS= read -r -d '' code <&3
IFS= read -r -d '' text <&3
if [ "$code" = 0 ]; then printf '%s' "$text"; else echo NOT_FOUND >&2; fi
exit "$code"
"""


@dataclass(slots=True)
class Call:
    argv: list[str]
    fed: str


@dataclass(slots=True)
class Project:
    """`service` is {revisions: [{name, image, flags}], serving, tags}; `named` has (kind, title) by Google's name."""

    calls: list[Call] = field(default_factory=list)
    things: list[str] = field(default_factory=list)
    named: dict[str, tuple[str, str]] = field(default_factory=dict)
    secrets: dict[str, list[str | None]] = field(default_factory=dict)
    service: dict[str, Any] | None = None
    urls: dict[str, str] = field(default_factory=dict)
    excluded: dict[str, str] = field(default_factory=dict)  # filters by the name of their exclusion
    failing: list[str] | None = None  # the first words of commands that fail, whatever they ask for

    def answer(self, argv: list[str], fed: str) -> str | None:
        """What gcloud would print; None where it would say that there is nothing of that name."""
        self.calls.append(Call(argv, fed))
        if self.failing is not None and argv[: len(self.failing)] == self.failing:
            return None
        words = [word for word in argv if not word.startswith("--")]
        given = flags(argv)
        if words[:2] == ["projects", "describe"]:
            return f"{NUMBER}\n"
        if words[0] == "secrets":
            return self._of_secrets(words, given, fed)
        if words[:2] in (["run", "deploy"], ["run", "services"], ["run", "revisions"]):
            return self._of_run(words, given)
        if words[0] == "builds":
            return self._of_builds(given)
        if words[:2] == ["logging", "sinks"]:
            return self._of_sinks(given)
        if words[:3] == ["artifacts", "docker", "images"]:
            return self._described("image " + words[-1].rpartition(":")[2])
        if {"policies", "channels", "uptime"} & set(words):
            return self._of_monitoring(words, given, fed)
        if given.get("format") == "value(address)":
            return f"{ADDRESS}\n"
        return self._of_things(words, given)

    def _of_builds(self, given: dict[str, str]) -> str:
        if "substitutions" in given:
            self.things.append("image " + given["substitutions"].split("_TAG=")[1].split(",")[0])
            return ""
        return given["gcs-source-staging-dir"].removeprefix("gs://") + "/tested.tgz\n"

    def _of_sinks(self, given: dict[str, str]) -> str | None:
        for change, there in (("add-exclusion", False), ("update-exclusion", True)):
            if change in given:
                name, _, filtered = given[change].removeprefix("name=").partition(",filter=")
                if (name in self.excluded) is not there:
                    return None
                self.excluded[name] = filtered
                return ""
        return "".join(f"{name}\n" for name in self.excluded)

    def _described(self, thing: str) -> str | None:
        return "" if thing in self.things else None

    def _of_things(self, words: list[str], given: dict[str, str]) -> str | None:
        kind = [word.partition("@")[0] for word in words if word not in VERBS]
        thing = " ".join([*kind, *([given["database"]] if words[:2] == ["firestore", "databases"] else [])])
        if "describe" in words:
            return self._described(thing)
        if "create" in words:
            if thing in self.things:
                return None
            self.things.append(thing)
        elif "delete" in words:
            self.things.remove(thing)
        return ""

    def _of_monitoring(self, words: list[str], given: dict[str, str], fed: str) -> str:
        kind = next(word for word in ("policies", "channels", "uptime") if word in words)
        if "create" in words:
            titles = {"policies": fed.partition('displayName: "')[2].partition('"')[0], "uptime": words[-1]}
            title = titles.get(kind) or given["display-name"]
            self.named[f"projects/p/{kind}/{len(self.named) + 1}"] = (kind, title)
        elif "delete" in words:
            del self.named[words[-1]]
        elif "update" not in words:
            wanted = re.compile(given["filter"].split('"')[1] + ("" if "~" in given["filter"] else "$"))
            both = "displayName" in given["format"]
            found = {name: title for name, (of, title) in self.named.items() if of == kind and wanted.match(title)}
            return "".join(f"{name}\t{title}\n" if both else f"{name}\n" for name, title in found.items())
        return ""

    def _of_secrets(self, words: list[str], given: dict[str, str], fed: str) -> str:
        match words[1:3]:
            case ["list"]:
                return "".join(f"{secret}\n" for secret in self.secrets)
            case ["create", secret]:
                self.secrets[secret] = []
            case ["versions", "add"]:
                self.secrets[words[3]].append(fed)
            case ["versions", "disable"]:
                self.secrets[given["secret"]][int(words[3]) - 1] = None
            case ["versions", "access"]:
                return self.secrets[given["secret"]][-1] or ""
            case ["versions", "list"]:
                alive = [number for number, value in enumerate(self.secrets[words[3]], 1) if value is not None]
                return "".join(f"{number}\n" for number in alive[::-1][: int(given.get("limit", 100))])
        return ""

    def _of_run(self, words: list[str], given: dict[str, str]) -> str | None:
        if words[1] == "deploy":
            self._deploy(words[2], given)
        elif self.service is None:
            return None
        elif words[1:3] == ["services", "update-traffic"]:
            return self._update_traffic(self.service, given)
        elif words[1:3] == ["revisions", "describe"]:
            [found] = [found for found in self.service["revisions"] if found["name"] == words[3]]
            environment = [found["flags"].get(name, "") for name in ("set-env-vars", "set-secrets")]
            return f"{environment if given['format'].endswith('.env)') else found['image']}\n"
        elif given.get("format") == "json":
            return json.dumps(self._status(self.service))
        elif "flatten" in given:
            by_tag = ".tag," in given["format"]
            tagged = "".join(f"{tag if by_tag else ''},{of}\n" for tag, of in self.service["tags"].items())
            return f"{tagged}{'' if by_tag else 100},{self.service['serving']}\n"
        return ""

    def _deploy(self, name: str, given: dict[str, str]) -> None:
        self.service = self.service or {"revisions": [], "serving": None, "tags": {}}
        kept = self.service["revisions"][-1]["flags"] if self.service["revisions"] else {}  # what is not said stays
        revision = f"{name}-{len(self.service['revisions']) + 1:05}-abc"
        flags = kept | given
        if "update-env-vars" in given:
            name, _, value = flags.pop("update-env-vars").partition("=")
            others = [pair for pair in flags["set-env-vars"].split("|") if not pair.startswith(f"{name}=")]
            flags["set-env-vars"] = "|".join([*others, f"{name}={value}"])
        self.service["revisions"].append({"name": revision, "image": given["image"], "flags": flags})
        if "no-traffic" not in given:
            self.service["serving"] = revision
        if "tag" in given:
            self.service["tags"][given["tag"]] = revision

    @staticmethod
    def _update_traffic(service: dict[str, Any], given: dict[str, str]) -> str | None:
        if "update-tags" in given:
            tag, _, revision = given["update-tags"].partition("=")
            service["tags"][tag] = revision
        left = {tag: of for tag, of in service["tags"].items() if tag not in given.get("remove-tags", "").split(",")}
        if "to-tags" in given:
            tag = given["to-tags"].partition("=")[0]
            if tag not in left:
                return None
            service["serving"] = left[tag]
        service["tags"] = left
        if "to-revisions" in given:
            service["serving"] = given["to-revisions"].partition("=")[0]
        return ""

    def _status(self, service: dict[str, Any]) -> dict[str, Any]:
        tagged = [{"revisionName": of, "tag": tag, "url": self.urls[tag]} for tag, of in service["tags"].items()]
        traffic = [{"revisionName": service["serving"], "percent": 100}, *tagged]
        return {"status": {"url": self.urls["serving"], "traffic": traffic}}


def flags(argv: list[str]) -> dict[str, str]:
    return dict(word[2:].partition("=")[::2] for word in argv if word.startswith("--"))


class Google:
    """All projects of a test run."""

    def __init__(self) -> None:
        self.projects: dict[str, Project] = {}
        google = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                project, count = self._word(), int(self._word())
                answer = google.projects[project].answer([self._word() for _ in range(count)], self._word())
                self.wfile.write(f"{0 if answer is not None else 1}\0{answer or ''}\0".encode())

            def _word(self) -> str:
                read = bytearray()
                while (byte := self.rfile.read(1)) != b"\0":
                    read += byte
                return read.decode()

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def open(self, project: Project, home: Path) -> None:
        """Puts a gcloud that keeps this project into a folder."""
        name = str(len(self.projects))
        self.projects[name] = project
        command = home / "gcloud"
        command.write_text(COMMAND.format(port=self._server.server_address[1], project=shlex.quote(name)))
        command.chmod(0o755)

    def close(self) -> None:
        self._server.shutdown()
        finish(self._thread)
        self._server.server_close()
