"""Plants a bug: the source of a module is changed on its way into the interpreter, and nowhere else."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import CodeType, ModuleType

ROOT = Path(__file__).parents[2]


class DoesNotApply(Exception):
    """The text that a planted bug replaces is not in the module exactly once: the bug has to be planted anew."""


@dataclass(frozen=True, slots=True)
class Edit:
    """In one module, one piece of text in the place of another that stands there once."""

    module: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """`sentence` says what the bug is; `caught_by` names the proofs that must find it, in the order they are tried."""

    name: str
    sentence: str
    edits: tuple[Edit, ...]
    caught_by: tuple[str, ...]


def source_of(module: str) -> Path:
    path = ROOT / Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def mutated(module: str, edits: Sequence[Edit]) -> str:
    """The module's source with the edits made. Raises DoesNotApply."""
    text = source_of(module).read_text(encoding="utf-8")
    for edit in edits:
        if text.count(edit.old) != 1:
            raise DoesNotApply(f"{module} has {text.count(edit.old)} times: {edit.old.strip()[:80]}")
        text = text.replace(edit.old, edit.new)
    return text


def plant(mutant: Mutant) -> None:
    """From here on every import sees the planted modules. To be called before the product is imported.

    Raises DoesNotApply.
    """
    modules = {edit.module for edit in mutant.edits}
    loaded = sorted(modules & sys.modules.keys())
    if loaded:
        raise RuntimeError(f"{loaded[0]} is imported already")
    sources = {module: mutated(module, [edit for edit in mutant.edits if edit.module == module]) for module in modules}
    sys.meta_path.insert(0, _Finder(sources))


class _Finder(MetaPathFinder):
    def __init__(self, sources: dict[str, str]) -> None:
        self._sources = sources

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._sources:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Planted(spec.loader, self._sources[fullname], str(source_of(fullname)))
        return spec


class _Planted(Loader):
    def __init__(self, real: Loader, source: str, path: str) -> None:
        self._real = real
        self._source = source
        self._path = path

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        code: CodeType = compile(self._source, self._path, "exec")
        exec(code, module.__dict__)  # noqa: S102 -- the product's own source, with the planted line in it
