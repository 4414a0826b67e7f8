"""An explanation as HTML: the document colored by weight, and what the weights add up to.

Colors are laid over whatever background there is, so that text stays readable on light and dark
ones. Blue and vermilion differ for everybody; signs, and solid and dashed lines, say the same.
"""

from html import escape

N_NGRAMS, N_CLASSES = 10, 6
FOR, AGAINST = "0,114,178", "213,94,0"
FAINTEST = 0.02  # share of the largest weight below which a token is not colored

STYLE = """
.sktc{font-family:system-ui,sans-serif;font-size:14px;line-height:1.5;max-width:72em;color:inherit}
.sktc-text{white-space:pre-wrap;overflow-wrap:anywhere;max-height:30em;overflow:auto;
 font-size:16px;line-height:1.9;margin:.6em 0}
.sktc-text span{border-radius:3px 3px 0 0;padding:1px 0}
.sktc-cut{opacity:.68}
.sktc-tables{display:flex;flex-wrap:wrap;align-items:flex-start;gap:.5em 2.5em}
.sktc table{border-collapse:collapse;margin:.3em 0;background:none;color:inherit}
.sktc caption{text-align:left;font-weight:600;padding:.2em 0;color:inherit}
.sktc th,.sktc td{text-align:left;font-weight:400;padding:1px .6em 1px 0;border:0;
 background:none;color:inherit;vertical-align:top}
.sktc th{max-width:15em;overflow-wrap:anywhere}
.sktc td.sktc-n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.sktc-track{display:inline-block;position:relative;width:7em;height:.8em;
 background:rgba(128,128,128,.22)}
.sktc-track span{position:absolute;top:0;bottom:0;box-sizing:border-box}
.sktc-note{opacity:.8;margin:.3em 0}
""".strip()


def as_html(explanation):
    """HTML of an `Explanation`, without scripts and with everything from outside escaped."""
    e = explanation
    probability = e.probabilities.get(e.target)
    sure = "" if probability is None else f" &#183; probability {probability:.3f}"
    head = f"<b><bdi>{_safe(e.target)}</bdi></b>: logit {_number(e.logit)}{sure}"
    cut = ""
    if e.n_cut:
        tokens = "token" if e.n_cut == 1 else "tokens"
        cut = (
            f'<div class="sktc-note">{e.n_cut:,} {tokens} beyond max_length did not count: the '
            "faint part.</div>"
            if e.text is not None
            else f'<div class="sktc-note">{e.n_cut:,} {tokens} beyond max_length did not count and '
            "are not shown.</div>"
        )
    tables = _parts(e) + _probabilities(e) + _ngrams(e)
    return (
        f'<div class="sktc"><style>{STYLE}</style><div>{head}</div>{_legend(e.target)}'
        f'<div class="sktc-text" dir="auto">{_document(e)}</div>{cut}'
        f'<div class="sktc-tables">{tables}</div></div>'
    )


def _safe(value):
    """Text of any value, escaped; what cannot be encoded becomes a question mark."""
    text = str(value).encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")
    return escape(text, quote=True)


def _number(value):
    return f"{value:+.3f}".replace("-", "&#8722;")


def opacities(strength):
    """How opaque the color of a token is, and the line below it, by how much it adds."""
    return 0.08 + 0.44 * strength, 0.3 + 0.7 * strength


def _color(strength, sign):
    """Inline, as some notebooks drop style sheets."""
    color = FOR if sign > 0 else AGAINST
    line = "solid" if sign > 0 else "dashed"
    shade, underline = opacities(strength)
    return (
        f"background:rgba({color},{shade:.2f});"
        f"border-bottom:2px {line} rgba({color},{underline:.2f})"
    )


def _legend(target):
    name = _safe(target)
    return (
        f'<div class="sktc-note"><span style="{_color(0.7, 1)}">+ for</span> and '
        f'<span style="{_color(0.7, -1)}">&#8722; against</span> <bdi>{name}</bdi>; '
        "the stronger the color, the more it adds</div>"
    )


def _document(e):
    """The text with its tokens colored, or the tokens with spaces in between."""
    weights = e.token_weights.tolist()
    largest = max(map(abs, weights), default=0)
    colored = [_token(*one, largest) for one in zip(e.tokens, weights, strict=True)]
    if e.text is None or e.offsets is None:
        return " ".join(colored)
    if not e.tokens:
        return _gap(e.text, e.n_cut)
    (first, _), (_, last) = e.offsets[0], e.offsets[-1]
    is_head = e.n_cut and not e.cut_at_start
    pieces = [_gap(e.text[:first], e.n_cut and e.cut_at_start)]
    for i, (start, stop) in enumerate(e.offsets):
        pieces.append(colored[i] if stop > start else "")
        after = e.offsets[i + 1][0] if i + 1 < len(e.offsets) else stop
        pieces.append(_gap(e.text[stop:after], False))
    pieces.append(_gap(e.text[last:], is_head))
    return "".join(pieces)


def _gap(text, is_cut):
    return f'<span class="sktc-cut">{_safe(text)}</span>' if is_cut and text else _safe(text)


def _token(token, weight, largest):
    if abs(weight) <= FAINTEST * largest:
        return _safe(token)
    style = _color(abs(weight) / largest, weight)
    return f'<span style="{style}" title="{_number(weight)}">{_safe(token)}</span>'


def _bar(value, largest, is_signed=True):
    """A bar from the middle of its track to the right, or to the left, or from its left end."""
    share = abs(value) / largest if largest else 0
    color, line = (AGAINST, "dashed") if value < 0 else (FOR, "solid")
    width = 100 * share / (2 if is_signed else 1)
    left = 0 if not is_signed else 50 - width * (value < 0)
    style = f"left:{left:.1f}%;width:{width:.1f}%;background:rgba({color},.75);"
    return (
        f'<td><span class="sktc-track"><span style="{style}border:1px {line} rgb({color})"></span>'
        "</span></td>"
    )


def _table(caption, rows):
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><caption>{caption}</caption><tbody>{body}</tbody></table>"


def _parts(e):
    parts = e.by_part()
    largest = max(map(abs, parts.values()))
    rows = [
        f'<th scope="row">{name}</th><td class="sktc-n">{_number(v)}</td>{_bar(v, largest)}'
        for name, v in parts.items()
    ]
    total = f'<th scope="row">logit</th><td class="sktc-n">{_number(e.logit)}</td><td></td>'
    return _table("Parts of the model", [*rows, total])


def _probabilities(e):
    ranked = sorted(e.probabilities.items(), key=lambda item: -item[1])
    shown = [item for i, item in enumerate(ranked) if i < N_CLASSES or item[0] == e.target]
    rows = []
    for label, probability in shown:
        name = f"<bdi>{_safe(label)}</bdi>"
        name = f"<b>{name}</b>" if label == e.target else name
        rows.append(
            f'<th scope="row">{name}</th><td class="sktc-n">{probability:.3f}</td>'
            + _bar(probability, 1, is_signed=False)
        )
    left = len(ranked) - len(shown)
    if left:
        rows.append(f'<td colspan="3">and {left} others</td>')
    return _table("Probabilities", rows)


def _ngrams(e):
    shown = e.ngrams[:N_NGRAMS]
    if not shown:
        return ""
    largest = abs(shown[0].contribution)
    rows = [
        f'<th scope="row"><bdi>{_safe(n.text)}</bdi></th>'
        f'<td class="sktc-n">{_number(n.contribution)}</td>{_bar(n.contribution, largest)}'
        f"<td>{n.source}</td>"
        for n in shown
    ]
    left = e.ngrams[N_NGRAMS:]
    if left:
        rest = sum(ngram.contribution for ngram in left)
        rows.append(
            f'<th scope="row">{len(left):,} others</th><td class="sktc-n">{_number(rest)}</td>'
            "<td></td><td></td>"
        )
    return _table("N-grams that add most", rows)
