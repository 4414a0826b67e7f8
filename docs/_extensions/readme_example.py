"""The directive ``readme-example``: the code of the README, run when the pages are built.

The page shows the code, what it prints, and the explanation that it makes, in color. The README
shows a picture of the same explanation: ``python docs/_extensions/readme_example.py`` writes it.
"""

import io
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path

from docutils import nodes

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PICTURE = ROOT / "docs" / "_static" / "explanation.svg"


def code():
    """The first block of Python in the README."""
    return re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)[1]


def run():
    """What the code prints, and its ``explanation``."""
    names, printed = {}, io.StringIO()
    with redirect_stdout(printed):
        exec(compile(code(), README.name, "exec"), names)
    return printed.getvalue(), names["explanation"]


def setup(app):
    from sphinx.util.docutils import SphinxDirective

    class ReadmeExample(SphinxDirective):
        def run(self):
            self.env.note_dependency(str(README))
            printed, explanation = run()
            source = nodes.literal_block(code(), code(), language="python")
            output = nodes.literal_block(printed, printed, language="text", classes=["output"])
            html = f'<div class="explanation">{explanation._repr_html_()}</div>'
            return [source, output, nodes.raw("", html, format="html")]

    app.add_directive("readme-example", ReadmeExample)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    from explanation_picture import picture

    PICTURE.write_text(picture(run()[1]), encoding="utf-8")
    print(f"{PICTURE.relative_to(ROOT)} is written.")
