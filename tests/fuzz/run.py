"""One target under atheris, that is libFuzzer with Python's lines and comparisons as its coverage. See `make fuzz`.

python -m tests.fuzz.run answers [option of libFuzzer | folder of inputs] …
"""

from __future__ import annotations

import shlex
import sys
import tempfile

import atheris

with atheris.instrument_imports(include=["collector", "email"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Fuzz until libFuzzer's options say stop, or a promise is broken."""
    name, *options = sys.argv[1:]
    target = TARGETS[name]
    again = f"{shlex.quote(sys.executable)} -m tests.fuzz.run {name}"  # -merge starts itself, through a shell
    with tempfile.NamedTemporaryFile("w", suffix=".dict") as words:
        words.writelines(f'"{_escaped(word)}"\n' for word in target.words)
        words.flush()
        arguments = [again, f"-dict={words.name}", f"-max_len={target.longest}", *options]
        atheris.Setup(arguments, target.check)
        atheris.Fuzz()


def _escaped(word: str) -> str:
    return "".join(f"\\x{byte:02X}" for byte in word.encode())


if __name__ == "__main__":
    main()
