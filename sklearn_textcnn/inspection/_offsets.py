"""Where the tokens of a document stand in it."""

import re
import unicodedata
from types import SimpleNamespace

from sklearn_textcnn._text import word_or_char_analyzer


def find_tokens(vectorizer, text, tokens):
    """Find the place of each token in a document as it is written.

    Parameters
    ----------
    vectorizer : TextVectorizerTransformer
    text : str
    tokens : list of str
        All tokens that the vectorizer makes of it.

    Returns
    -------
    list of tuple of (int, int), or None
        Where each starts and stops, in rising order. A token of which nothing is written, as the
        space at the edge of a word that ``analyzer="char_wb"`` adds, is as long as 0. None if it is
        not certain where the tokens are.
    """
    for read in _readings(vectorizer, text):
        places = _by_pattern(vectorizer, read.text, tokens) or _in_order(read.text, tokens)
        if places is not None:
            return read.places_as_written(places)
    return None


class _Read:
    """A text as the vectorizer reads it, letter by letter.

    Parameters
    ----------
    written : str
    pieces : list of str, or None
        What becomes of each letter. None: each one becomes one.
    text : str
        What becomes of all.
    """

    def __init__(self, written, pieces, text):
        self.written, self.pieces, self.text = written, pieces, text

    def places_as_written(self, places):
        """Places in the text as it was written."""
        if self.pieces is None:
            return places
        origins = [i for i, piece in enumerate(self.pieces) for _ in piece]
        found, end = [], 0
        for start, stop in places:
            if start == stop:
                first = last = origins[start] if start < len(origins) else len(self.written)
            else:
                first, last = origins[start], origins[stop - 1] + 1
                while self._is_lost_mark(last):
                    last += 1
            # a letter may have become two tokens, the first of which has it then
            first = max(first, end)
            last = end = max(last, first)
            found.append((first, last))
        return found

    def _is_lost_mark(self, i):
        """Whether this is an accent that was stripped from the letter in front of it."""
        return (
            i < len(self.written)
            and not self.pieces[i]
            and unicodedata.category(self.written[i])[0] == "M"
        )


def _readings(vectorizer, text):
    """Yield readings of a text that tokens can be looked for in, the vectorizer's own first."""
    own = (
        callable(vectorizer.analyzer)
        or vectorizer.preprocessor is not None
        or callable(vectorizer.strip_accents)
    )
    if own:  # nobody knows what it does to letters
        yield _Read(text, None, text)
        preprocess = str.lower
    else:
        preprocess = _preprocessor(vectorizer)
    read = preprocess(text)
    if text.isascii():
        if len(read) == len(text):
            yield _Read(text, None, read)
        return
    of_letters = {letter: preprocess(letter) for letter in set(text)}
    pieces = [of_letters[letter] for letter in text]
    joined = "".join(pieces)
    # a sigma at the end of a word has a small letter of its own
    if joined == read or (len(joined) == len(read) and joined.casefold() == read.casefold()):
        yield _Read(text, pieces, read)


def _preprocessor(vectorizer):
    """What the vectorizer does to a text before it splits it."""
    if vectorizer.analyzer != "word":
        parameters = vectorizer.get_params(deep=False)
        vectorizer = SimpleNamespace(**parameters | {"analyzer": "word", "tokenizer": str.split})
    return word_or_char_analyzer(vectorizer).preprocess


def _by_pattern(vectorizer, text, tokens):
    """Places of tokens that regular expressions make; None if these are others."""
    if callable(vectorizer.analyzer) or (
        vectorizer.analyzer == "word" and vectorizer.tokenizer is not None
    ):
        return None
    if vectorizer.analyzer == "char":
        matches = re.finditer(r"\s\s+|.", text, re.DOTALL)
        found = [(" " if m.end() > m.start() + 1 else m.group(), *m.span()) for m in matches]
    elif vectorizer.analyzer == "char_wb":
        found = []
        for word in re.finditer(r"\S+", text):
            start, stop = word.span()
            found.append((" ", start, start))
            found += [(text[i], i, i + 1) for i in range(start, stop)]
            found.append((" ", stop, stop))
    else:
        pattern = re.compile(vectorizer.token_pattern)
        matches = list(pattern.finditer(text))
        found = [(m.group(pattern.groups), *m.span(pattern.groups)) for m in matches]
        if len(found) != len(tokens):  # stop words are left out
            kept = set(tokens)
            found = [match for match in found if match[0] in kept]
    if [token for token, _, _ in found] != tokens:
        return None
    return [(start, stop) for _, start, stop in found]


def _in_order(text, tokens):
    """Places of tokens, one after the other; None if they could be elsewhere, too."""
    places, end = [], 0
    for token in tokens:
        start = text.find(token, end)
        if start < 0 or not token:
            return None
        end = start + len(token)
        places.append((start, end))
    ends = [0, *(stop for _, stop in places)]
    starts = [*(start for start, _ in places), len(text)]
    if not any(re.search(r"\w", text[a:b]) for a, b in zip(ends, starts, strict=True)):
        return places
    # Something was left out. Was there but one way to do so, at the borders of words?
    start = len(text)
    for token, place in zip(reversed(tokens), reversed(places), strict=True):
        start = text.rfind(token, 0, start)
        if start != place[0]:
            return None
    if all(_are_whole_words(text, *place) for place in _joined(places)):
        return places
    return None


def _joined(places):
    """Places without those between two tokens that touch."""
    joined = []
    for start, stop in places:
        if joined and joined[-1][1] == start:
            start = joined.pop()[0]
        joined.append((start, stop))
    return joined


def _are_whole_words(text, start, stop):
    return re.match(r"\w\w", text[max(start - 1, 0) : start + 1]) is None and (
        re.match(r"\w\w", text[stop - 1 : stop + 1]) is None
    )
