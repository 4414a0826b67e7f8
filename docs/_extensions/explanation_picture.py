"""An explanation as SVG, for pages that show no HTML of others, such as a README.

Signs and dashed lines say the same as the colors, which follow the reader's light or dark scheme.
"""

from html import escape

WIDTH, MARGIN = 860, 24
N_NGRAMS = 8
FAINTEST = 0.02  # share of the largest weight below which a token is not colored
SIZE, LINE = 17, 40  # of the document, in pixels
LETTER = 0.602  # width of a letter of the fixed-width font, as a share of its size
BAR = 150

STYLE = """
  text { fill: #1f2328;
    font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, "DejaVu Sans", sans-serif; }
  .document { white-space: pre;
    font: 17px ui-monospace, SFMono-Regular, Menlo, "DejaVu Sans Mono", monospace; }
  .head { font-weight: 600; }
  .note { fill: #59636e; }
  .number { text-anchor: end; font-variant-numeric: tabular-nums; }
  .card { fill: #ffffff; stroke: #d0d7de; }
  .track { fill: #818b98; fill-opacity: 0.18; }
  .for { fill: #0072b2; stroke: #0072b2; }
  .against { fill: #d55e00; stroke: #d55e00; stroke-dasharray: 5 3; }
  .underline { stroke-width: 2.5; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .note { fill: #9da7b3; }
    .card { fill: #0d1117; stroke: #3d444d; }
    .for { fill: #58a6ff; stroke: #58a6ff; }
    .against { fill: #f0883e; stroke: #f0883e; }
  }
  .shade, .bar { stroke: none; }
"""


def picture(explanation):
    """SVG of an `Explanation` with its text: the document in color, and what adds up."""
    e = explanation
    probability = e.probabilities[e.target]
    head = f"{e.target}: logit {number(e.logit)}, probability {probability:.2f}"
    drawn, y = [text(MARGIN, 38, head, "head")], 38
    drawn += legend(e.target, y)
    document, y = colored(e, y + 46)
    tables, bottom = columns(e, y + 44)
    height = bottom + 6
    title = f"Why the text is taken for one of {e.target}"
    words = ", ".join(f"{n.text} {number(n.contribution)}" for n in e.ngrams[:N_NGRAMS])
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" role="img" aria-labelledby="title desc">',
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="desc">{escape(f"{e.text} {head}. {words}")}</desc>',
            f"<style>{STYLE}</style>",
            f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" '
            'rx="8"/>',
            *drawn,
            *document,
            *tables,
            "</svg>\n",
        ]
    )


def number(value):
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


def text(x, y, content, kind=""):
    kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}"{kind}>{escape(content)}</text>'


def side(value):
    return "for" if value > 0 else "against"


def legend(target, y):
    """What the colors say, at the right edge."""
    drawn, x = [], WIDTH - MARGIN - 180
    for value, word, width in [(1, "+ for", 40), (-1, "\N{MINUS SIGN} against", 66)]:
        drawn += [shade(x, y - 15, width, 20, value, 0.7), text(x + 4, y, word)]
        x += width + 10
    return [*drawn, text(x, y, str(target))]


def shade(x, y, width, height, value, strength):
    """The background and the underline of a token."""
    kind = side(value)
    return (
        f'<rect class="{kind} shade" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
        f'height="{height}" fill-opacity="{0.06 + 0.4 * strength:.2f}"/>'
        f'<line class="{kind} underline" x1="{x:.1f}" y1="{y + height:.1f}" x2="{x + width:.1f}" '
        f'y2="{y + height:.1f}" stroke-opacity="{0.3 + 0.7 * strength:.2f}"/>'
    )


def colored(e, y):
    """The document, broken into lines between words, and the place of the last one."""
    advance = SIZE * LETTER
    n_letters = int((WIDTH - 2 * MARGIN) / advance)
    largest = max(map(abs, e.token_weights))
    drawn, line_start = [], 0
    for (start, stop), weight in zip(e.offsets, e.token_weights, strict=True):
        word_stop = next((i for i in range(stop, len(e.text)) if e.text[i].isspace()), len(e.text))
        if word_stop - line_start > n_letters and e.text[start - 1].isspace():
            line_start, y = start, y + LINE
        x, size = MARGIN + (start - line_start) * advance, (stop - start) * advance
        if abs(weight) > FAINTEST * largest:
            drawn.append(shade(x, y - 19, size, 26, weight, abs(weight) / largest))
        drawn.append(
            f'<text class="document" x="{x:.1f}" y="{y}" textLength="{size:.1f}" '
            f'lengthAdjust="spacingAndGlyphs">{escape(e.text[start:stop])}</text>'
        )
    return drawn, y


def columns(e, y):
    """Parts of the model on the left, n-grams on the right, and where they end."""
    parts = [(name, value, "") for name, value in e.by_part().items()]
    ngrams = [(n.text, n.contribution, n.source) for n in e.ngrams[:N_NGRAMS]]
    rest = e.ngrams[N_NGRAMS:]
    left, _ = bars(MARGIN, y, 90, "Parts of the model", parts)
    after = y + 22 * (len(parts) + 1)
    left += [text(MARGIN, after, "logit"), text(MARGIN + 145, after, number(e.logit), "number")]
    x = MARGIN + 360
    right, bottom = bars(x, y, 150, "N-grams that add most", ngrams)
    if rest:
        total = number(sum(ngram.contribution for ngram in rest))
        right += [text(x, bottom, f"{len(rest)} others", "note")]
        right += [text(x + 205, bottom, total, "number note")]
        bottom += 22
    return [*left, *right], max(after + 22, bottom)


def bars(x, y, name_width, caption, rows):
    """A caption and a row with a number and a bar for each of (name, value, source)."""
    largest = max(abs(value) for _, value, _ in rows)
    drawn = [text(x, y, caption, "head")]
    for name, value, source in rows:
        y += 22
        track = x + name_width + 70
        middle = track + BAR / 2
        length = BAR / 2 * abs(value) / largest
        drawn += [
            text(x, y, name),
            text(x + name_width + 55, y, number(value), "number"),
            f'<rect class="track" x="{track:g}" y="{y - 11}" width="{BAR}" height="12"/>',
            f'<rect class="{side(value)} bar" x="{middle - length * (value < 0):.1f}" y="{y - 11}" '
            f'width="{length:.1f}" height="12"/>',
        ]
        if source:
            drawn.append(text(track + BAR + 10, y, source, "note"))
    return drawn, y + 22
