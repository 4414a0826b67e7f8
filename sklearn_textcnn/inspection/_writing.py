"""Text of any script and length as matplotlib can draw it."""

import unicodedata
from functools import cache
from itertools import groupby
from warnings import warn

ELLIPSIS, BOX = "…", "□"
_JOINERS = "\u200c\u200d"  # letters look otherwise beside them
_MIRRORED = str.maketrans("()[]{}<>«»", ")(][}{><»«")


def shortened(text, n):
    """A text of at most `n` characters: the middle is left out, if it can be between words.

    >>> shortened("it is not often that one sees such a film", 24)
    'it is not … a film'
    """
    text = " ".join(text.split())
    if len(text) <= n:
        return text
    n_last = n // 3
    first, last = text[: n - n_last - 1], text[-n_last:] if n_last else ""
    # words are kept whole where less than half of a side is lost by it
    if (cut := first.rfind(" ") + 1) > len(first) // 2:
        first = first[:cut]
    if -1 < (cut := last.find(" ")) < len(last) // 2:
        last = last[cut:]
    return first + ELLIPSIS + last


class Writer:
    """Makes strings for matplotlib of texts that are drawn together.

    matplotlib warns of each character that its font does not have, whenever it draws. So fonts that
    have them are looked up among those that are installed. What none has becomes a box, which is
    said once.

    Parameters
    ----------
    texts : iterable of str

    Attributes
    ----------
    style : dict
        Keyword arguments for ``matplotlib.text.Text``.
    """

    def __init__(self, texts):
        drawn = set("".join(map(_cleaned, texts)))
        families, self._lacking = _families_for(drawn)
        # a document may hold dollar signs
        self.style = {"fontfamily": families, "parse_math": False, "usetex": False}
        self._orders = not _draws_right_to_left()
        boxes = sorted(self._lacking - set(_JOINERS))
        if boxes:
            some = " ".join(boxes[:5])
            warn(
                f"No installed font has {len(boxes)} of the characters to draw, such as {some}: "
                "they are drawn as boxes. Install a font that has them, such as one of the Noto "
                "fonts, and call matplotlib.font_manager.fontManager.addfont with its path.",
                stacklevel=3,
            )

    def __call__(self, text):
        """The string that looks like a text."""
        text = "".join(self._drawn(letter) for letter in _cleaned(text))
        return as_seen(text) if self._orders else text

    def _drawn(self, letter):
        if letter not in self._lacking:
            return letter
        return "" if letter in _JOINERS else BOX


def _cleaned(text):
    """Without what is no letter to draw: line feeds, controls, halves of surrogate pairs."""
    text = str(text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        letter
        if letter in _JOINERS or unicodedata.category(letter)[0] != "C"
        else (" " if letter.isspace() else "")
        for letter in text
    )


def _families_for(letters):
    """Font families that together have some letters, and the letters that none has."""
    from matplotlib import rcParams
    from matplotlib.font_manager import FontProperties, fontManager

    families = list(rcParams["font.family"])
    lacking = {letter for letter in letters if letter > "~"}
    for family in families:
        if lacking:
            lacking -= _letters(fontManager.findfont(FontProperties(family=[family])))
    for entry in fontManager.ttflist:
        if not lacking:
            break
        usual = entry.style == "normal" and str(entry.weight) in ("400", "normal", "regular")
        if not usual or entry.name.startswith("Last Resort"):  # which has a box for everything
            continue
        found = lacking & _letters(entry.fname)
        if found:
            families.append(entry.name)
            lacking -= found
    return families, lacking


@cache
def _letters(path):
    """What a font has."""
    from matplotlib.font_manager import get_font

    try:
        return frozenset(map(chr, get_font(path).get_charmap()))
    except (RuntimeError, OSError):  # such as colored ones
        return frozenset()


def _draws_right_to_left():
    """Whether matplotlib orders and joins letters by itself, as it does from 3.11 on."""
    from matplotlib import ft2font

    return hasattr(ft2font, "__libraqm_version__")


# --- What is written from right to left


def direction(text):
    """Of the first letter that has one: "L" or "R"; "1" of numbers, "" of all else."""
    found = ""
    for letter in text:
        kind = unicodedata.bidirectional(letter)
        if kind in ("L", "R", "AL"):
            return "L" if kind == "L" else "R"
        if kind in ("EN", "AN"):
            found = found or "1"
    return found


def base_direction(text):
    """Direction of a document: of its first letter that has one."""
    letters = (direction(letter) for letter in text)
    return next((of_letter for of_letter in letters if of_letter in ("L", "R")), "L")


def visual_order(directions, base):
    """Places in the order in which they are seen from left to right, and whether each is mirrored.

    The rules of Unicode's bidirectional algorithm that texts without marks for it need.

    Parameters
    ----------
    directions : list of {"L", "R", "1", ""}
        Of letters, or of words, in the order in which they are read.
    base : {"L", "R"}
    """
    levels, strong = [], base
    for one in _without_neutrals(directions, base):
        if one != "1":
            strong = one
        elif strong == "L" and base == "L":
            one = "L"
        levels.append({"L": 0, "R": 1, "1": 2}[one] if base == "L" else 1 + (one != "R"))
    order = list(range(len(levels)))
    for level in range(max(levels, default=0), 0, -1):
        turned = []
        for is_turned, group in groupby(order, key=lambda i: levels[i] >= level):
            run = list(group)
            turned += run[::-1] if is_turned else run
        order = turned
    return order, [level == 1 for level in levels]


def _without_neutrals(directions, base):
    """What has no direction gets that of both neighbours, or of the document."""
    resolved, i = list(directions), 0
    for neutral, run in groupby(directions, key=lambda one: one == ""):
        n = len(list(run))
        if neutral:
            before = directions[i - 1] if i else base
            after = directions[i + n] if i + n < len(directions) else base
            resolved[i : i + n] = [before if before == after else base] * n
        i += n
    return resolved


def as_seen(text):
    """A text with its letters from left to right as they are seen, Arabic ones joined."""
    if not any(direction(letter) == "R" for letter in text):
        return text
    clusters = []
    for letter in _joined(text):
        if clusters and unicodedata.category(letter)[0] == "M":
            clusters[-1] += letter
        else:
            clusters.append(letter)
    base = base_direction(text)
    order, is_mirrored = visual_order([direction(cluster) for cluster in clusters], base)
    return "".join(mirrored(clusters[i]) if is_mirrored[i] else clusters[i] for i in order)


def mirrored(text):
    """Brackets as they look where it goes from right to left."""
    return text.translate(_MIRRORED)


@cache
def _forms():
    """Letter -> how it looks by itself and beside others, of Arabic scripts."""
    forms = {}
    for code in (*range(0xFB50, 0xFE00), *range(0xFE70, 0xFEFF)):
        kind, *letters = unicodedata.decomposition(chr(code)).split() or [""]
        if len(letters) == 1 and kind in ("<isolated>", "<final>", "<initial>", "<medial>"):
            forms.setdefault(chr(int(letters[0], 16)), {})[kind] = chr(code)
    return forms


def _joined(text):
    """Arabic letters as they look beside their neighbours."""
    forms = _forms()
    letters = [i for i, letter in enumerate(text) if unicodedata.category(letter) != "Mn"]
    looks = list(text)
    joins = False  # whether the letter before reaches out to the next one
    for place, i in enumerate(letters):
        after = text[letters[place + 1]] if place + 1 < len(letters) else ""
        of_letter = forms.get(text[i], {})
        to_next = "<initial>" in of_letter and "<final>" in forms.get(after, {})
        kinds = {
            (True, True): "<medial>",
            (True, False): "<final>",
            (False, True): "<initial>",
            (False, False): "<isolated>",
        }
        looks[i] = of_letter.get(kinds[joins and "<final>" in of_letter, to_next], text[i])
        joins = to_next
    return "".join(looks)
