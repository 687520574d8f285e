"""No code sorts numpy's variable-width strings: with NumPy 2.4 the default sort of them can end the process."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(path for folder in ("rollout", "sim", "tests") for path in (ROOT / folder).rglob("*.py"))

SORTS = frozenset(
    {
        *("sort", "argsort", "lexsort", "partition", "argpartition", "searchsorted", "isin", "in1d"),
        *("unique", "unique_all", "unique_counts", "unique_inverse", "unique_values"),
        *("intersect1d", "union1d", "setdiff1d", "setxor1d"),
    }
)
"""Functions of numpy that sort, or that take sorted texts for granted."""

METHODS = frozenset({"sort", "argsort", "partition", "argpartition", "searchsorted"})

COLUMNS = frozenset({"names", "serials", "texts"})
"""Attributes that hold texts wherever they stand; `ids` is a text in a fleet and a plan, of fixed width elsewhere."""

HOLDERS = frozenset({"fleet", "plan"})
"""Whose `ids` are variable-width texts."""

PLAIN = frozenset({"tolist", "encode"})
"""What leads from an array to Python's own objects, which sort safely."""


def _is_text_type(node: ast.expr | None) -> bool:
    return node is not None and "TextArray" in ast.unparse(node)


def _is_number(node: ast.expr) -> bool:
    """Whether an expression gives no texts although it holds some: a comparison, a length, a list."""
    if isinstance(node, ast.Compare):
        return True
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    if isinstance(called, ast.Attribute):
        return called.attr in PLAIN or called.attr in SORTS - {"unique", "sort"}
    return isinstance(called, ast.Name) and called.id in ("len", "sorted", "codes_of")


def _holds_text(node: ast.AST, texts: set[str]) -> bool:
    """Whether the value of an expression may be a text array. texts : local names that are."""
    if isinstance(node, ast.expr) and _is_number(node):
        return False
    if isinstance(node, ast.Name):
        return node.id in texts
    if isinstance(node, ast.Attribute):
        owner = node.value
        name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
        if node.attr in ("StringDType", "strings") or node.attr in COLUMNS:
            return True
        if node.attr == "ids" and name in HOLDERS:
            return True
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "texts":
        return True
    if isinstance(node, ast.Subscript):  # an index chooses, it does not hold
        return _holds_text(node.value, texts)
    return any(_holds_text(child, texts) for child in ast.iter_child_nodes(node))


def _text_names(function: ast.AST) -> set[str]:
    """Local names of a function that hold texts: as annotated, or made of others that do."""
    names: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.arg) and _is_text_type(node.annotation):
            names.add(node.arg)
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and _is_text_type(node.annotation)
        ):
            names.add(node.target.id)
    while True:
        more = {
            target.id
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and _holds_text(node.value, names)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        if more <= names:
            return names
        names |= more


def text_sorts(source: str) -> Iterator[str]:
    """Give each call in a source that may sort texts, with its line."""
    tree = ast.parse(source)
    scopes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    found: dict[int, str] = {}
    for scope in (tree, *scopes):
        texts = _text_names(scope) if scope is not tree else set()
        for node in ast.walk(scope):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            owner, name = node.func.value, node.func.attr
            is_numpy = isinstance(owner, ast.Name) and owner.id in ("np", "numpy") and name in SORTS
            sorted_ = [*node.args] if is_numpy else [owner] if name in METHODS else []
            if any(_holds_text(item, texts) for item in sorted_):
                found[node.lineno] = f"line {node.lineno}: {ast.unparse(node)}"
    yield from found.values()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_code_sorts_texts(path: Path) -> None:
    """Texts are numbered by `rollout.values.codes_of`, or sorted by Python; numpy never sorts them."""
    if path == Path(__file__):
        return
    assert list(text_sorts(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "body",
    [
        "both = np.strings.lower(np.concatenate([left, right]))\n    return np.unique(both, return_inverse=True)",
        "return np.argsort(left)",
        "return np.sort(left[right != ''])",
        "return fleet.names.argsort()",
        "return np.unique(fleet.serials)",
        "return np.isin(plan.ids, known)",
        "return np.intersect1d(numbers, inventory.fleet.ids)",
        "known = texts(['b', 'a'])\n    known.sort()",
        "return np.unique(intune.texts['serial'])",
        "return np.searchsorted(np.array(some, dtype=np.dtypes.StringDType()), 'a')",
        "return np.lexsort((numbers, left))",
    ],
)
def test_a_sort_of_texts_is_found(body: str) -> None:
    assert list(text_sorts(f"def one(left: TextArray, right: TextArray) -> object:\n    {body}\n"))


@pytest.mark.parametrize(
    "body",
    [
        "return np.unique(fleet.factors['site'].codes)",
        "return sorted(fleet.names.tolist())",
        "return np.argsort(table.ids['entra_id'], kind='stable')",
        "return np.argsort(np.array([one.encode() for one in left.tolist()]))",
        "return np.flatnonzero(left == 'a')",
        "return np.sort(np.flatnonzero(left == right))",
        "return np.unique(codes_of(left.tolist()))",
    ],
)
def test_a_sort_of_numbers_is_none(body: str) -> None:
    assert not list(text_sorts(f"def one(left: TextArray, right: TextArray) -> object:\n    {body}\n"))
