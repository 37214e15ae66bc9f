"""Who loads whom: the judge never the driver, the driver never the judge; either lives without the other."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "botticelli"

DRIVER_SIDE = (
    "botticelli.core",
    "botticelli.protocol",
    "botticelli.dialects",
    "botticelli.drivers",
    "botticelli.providers",
)
JUDGE_SIDE = ("botticelli.kit", "botticelli.contracts")


def modules_of(*packages: str) -> list[str]:
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for package in packages
        for path in sorted((ROOT / package.replace(".", "/")).rglob("*.py"))
        if path.name != "__main__.py"
    ]


def loaded_by(statement: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=120
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def of(packages: tuple[str, ...], modules: set[str]) -> set[str]:
    return {name for name in modules if name.startswith(packages)}


def test_importing_the_package_loads_nothing_else() -> None:
    loaded = loaded_by("import botticelli")
    assert of(("botticelli.",), loaded) == set()
    assert not loaded & {"httpx", "msgspec", "jsonschema_rs", "hypothesis", "rich", "dotenv"}


def test_the_driver_never_loads_the_judge() -> None:
    every = "\n".join(f"import {name}" for name in modules_of(*DRIVER_SIDE))
    loaded = loaded_by(every)
    assert of(JUDGE_SIDE, loaded) == set()
    assert not loaded & {"jsonschema_rs", "hypothesis", "pytest"}


def test_the_judge_never_loads_the_driver() -> None:
    every = "\n".join(f"import {name}" for name in modules_of(*JUDGE_SIDE))
    assert of(DRIVER_SIDE, loaded_by(every)) == set()


def test_constructing_a_driver_reads_no_env_file_when_the_environment_has_a_key() -> None:
    statement = (
        "import os; os.environ['HUGGINGFACE_API_KEY'] = 'hf_x'\n"
        "from botticelli import HuggingFaceDriver\n"
        "HuggingFaceDriver('m', base_url='http://127.0.0.1:1/v1')"
    )
    assert not loaded_by(statement) & {"dotenv", "jsonschema_rs"}


def test_the_pure_part_reads_no_clock_no_chance_and_no_files() -> None:
    """import-linter sees modules; this sees calls on names that are allowed to be imported."""
    forbidden = {"open", "now", "today", "utcnow", "uuid4", "read_text", "read_bytes", "getenv"}
    found: list[str] = []
    for package in ("core", "protocol", "dialects"):
        for path in sorted((PACKAGE / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                    if name in forbidden:
                        found.append(f"{path.relative_to(ROOT)}:{node.lineno} {name}")
    assert found == []


def imports() -> dict[str, set[str]]:
    """What each module imports of the package: at its top, inside functions and for type checkers alike."""
    paths = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(PACKAGE.rglob("*.py"))
    }
    found: dict[str, set[str]] = {}
    for name, path in paths.items():
        targets: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                targets |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                # a name that is taken from a package may be a module of it
                children = {f"{node.module}.{alias.name}" for alias in node.names}
                targets |= children & paths.keys() or {node.module}
        found[name] = (targets & paths.keys()) - {name}
    return found


def circles(graph: dict[str, set[str]]) -> set[str]:
    """The modules on circles: what is left without all that import nothing or are imported by nothing."""
    left = graph
    while True:
        imported = {target for targets in left.values() for target in targets}
        kept = {name for name, targets in left.items() if targets & left.keys() and name in imported}
        if kept == left.keys():
            return kept
        left = {name: left[name] & kept for name in kept}


def test_no_imports_go_in_a_circle_not_even_late_or_type_checking_ones() -> None:
    assert circles({"a": {"b"}, "b": {"c", "d"}, "c": {"b"}, "d": set()}) == {"b", "c"}
    assert circles(imports()) == set()


def test_dialects_do_not_know_each_other_and_drivers_know_none() -> None:
    def folder(name: str) -> str:
        return ".".join(name.split(".")[:3])

    formats = {
        f"botticelli.dialects.{path.name}" for path in (PACKAGE / "dialects").iterdir() if path.is_dir()
    }
    assert "botticelli.dialects.openai" in formats
    for name, targets in imports().items():
        if folder(name) in formats:
            assert {folder(target) for target in targets} & formats <= {folder(name)}
        if name.startswith("botticelli.drivers"):
            assert not {folder(target) for target in targets} & formats


@pytest.fixture
def amputated(tmp_path: Path) -> Path:
    copy = tmp_path / "copy"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, copy / "botticelli", ignore=ignored)
    shutil.copytree(ROOT / "contracts", copy / "contracts", ignore=ignored)
    shutil.copytree(ROOT / "fixtures", copy / "fixtures", ignore=ignored)
    return copy


def run_in(folder: Path, code: str) -> str:
    prelude = f"import sys; sys.path[:0] = [{str(folder)!r}]\n"
    check = f"\nimport botticelli; assert botticelli.__file__.startswith({str(folder)!r})"
    done = subprocess.run(
        [sys.executable, "-P", "-c", prelude + code + check],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_the_judge_the_driver_works(amputated: Path) -> None:
    for name in ("kit", "contracts"):
        shutil.rmtree(amputated / "botticelli" / name)
    shutil.rmtree(amputated / "contracts")
    shutil.rmtree(amputated / "fixtures")
    code = """
import http.server, threading
from botticelli import GenerateRequest, HuggingFaceDriver, Message

ANSWER = b'{"choices":[{"index":0,"message":{"content":"alive"},"finish_reason":"stop"}]}'

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *arguments): pass

server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/v1"
with HuggingFaceDriver.with_api_token(None, "m", base_url=url) as driver:
    print(driver.generate(GenerateRequest([Message.user("hi")])).text)
"""
    assert run_in(amputated, code).strip() == "alive"


def test_without_the_driver_the_judge_works(amputated: Path) -> None:
    for name in ("core", "protocol", "dialects", "drivers", "providers"):
        shutil.rmtree(amputated / "botticelli" / name)
    code = """
import sys
from botticelli.cli import main
from botticelli.contracts import violations
assert violations("openai/response", {})
client = "botticelli.kit.selftest.reference_client:ReferenceClient"
sys.exit(main(["check", "driver", client, "--case", "sse-cr-only"]))
"""
    assert "passed: 1 OK in " in run_in(amputated, code)
