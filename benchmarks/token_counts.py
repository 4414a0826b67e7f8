"""Does TextVectorizerTransformer find the tokens of CountVectorizer in real text?

Every document of four corpora, with the same token pattern and the same case: how often each token
stands in each document, and in how many documents. Patterns are ours, CountVectorizer's and two
more. What differs has to follow from a rule of the user guide: our pattern does not see characters
that nobody sees (soft hyphen, word joiner, byte order mark), and a zero-width space ends a word.
`CountVectorizer` gets the text by that rule in a second pass. What differs then is unexplained.
"""

import numpy as np
from _common import Report, at_most, load_corpus, parse_arguments
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import CountVectorizer

from sklearn_textcnn import TextVectorizerTransformer

CORPORA = ["mr/all", "trec/train", "sms_spam/all", "20ng/train"]
OURS = TextVectorizerTransformer().token_pattern
PATTERNS = {"ours": OURS, "CountVectorizer's": r"(?u)\b\w\w+\b", r"\w+": r"\w+", r"\S+": r"\S+"}
UNSEEN = str.maketrans({"\u00ad": None, "\u2060": None, "\ufeff": None, "\u200b": " "})
FLOORS = {
    "documents with other tokens, unexplained": at_most(0),
    "tokens with another document frequency, unexplained": at_most(0),
}


def main():
    arguments = parse_arguments(__doc__)
    report = Report(__doc__, arguments, FLOORS, FLOORS)
    totals = np.zeros(2, dtype=int)
    for corpus in CORPORA:
        texts = load_corpus(arguments.data, corpus, 300 if arguments.quick else None)[0].tolist()
        rows = []
        for name, pattern in PATTERNS.items():
            for lowercase in (True, False):
                row, unexplained = compare(texts, pattern, lowercase)
                rows.append({"pattern": name, "lowercase": str(lowercase)} | row)
                totals += unexplained
        report.table(f"{corpus}, {len(texts)} documents", rows)
    for name, total in zip(FLOORS, totals.tolist(), strict=True):
        report.claim(name, total)
    report.finish()


def compare(texts, pattern, lowercase):
    """A row of the table, and how much of it is unexplained, in documents and in tokens."""
    settings = {"token_pattern": pattern, "lowercase": lowercase}
    ours, names = counts_of_ours(texts, settings)
    plain = differing(ours, names, *counts_of_theirs(texts, settings))
    left = plain
    if pattern == OURS and plain.any():
        seen = [text.translate(UNSEEN) for text in texts]
        left = differing(ours, names, *counts_of_theirs(seen, settings))
    row = {
        "tokens": int(ours.sum()),
        "distinct tokens": len(names),
        "documents that differ": int(plain[0]),
        "frequencies that differ": int(plain[1]),
        "unexplained documents": int(left[0]),
        "unexplained frequencies": int(left[1]),
    }
    return row, left


def counts_of_ours(texts, settings):
    """How often each token stands in each document, from ids, and the tokens."""
    vectorizer = TextVectorizerTransformer(max_length=None, **settings)
    ids = np.asarray(vectorizer.fit_transform(texts))
    rows, _ = places = ids.nonzero()
    names = np.array(list(vectorizer.vocabulary_), dtype=object)
    counts = np.ones(len(rows), dtype=np.int64), (rows, ids[places] - 2)
    return csr_array(counts, shape=(len(texts), len(names))), names


def counts_of_theirs(texts, settings):
    vectorizer = CountVectorizer(**settings)
    counts = csr_array(vectorizer.fit_transform(texts))
    return counts, vectorizer.get_feature_names_out()


def differing(ours, our_names, theirs, their_names):
    """Number of documents with other counts, and of tokens with another document frequency."""
    column = {}
    for name in (*our_names.tolist(), *their_names.tolist()):
        column.setdefault(name, len(column))

    def wide(counts, names):
        columns = np.array([column[name] for name in names.tolist()], dtype=np.int64)
        arrays = counts.data, columns[counts.indices], counts.indptr
        return csr_array(arrays, shape=(counts.shape[0], len(column)))

    ours, theirs = wide(ours, our_names), wide(theirs, their_names)
    documents = np.unique((ours - theirs).nonzero()[0])
    frequencies = [(counts > 0).sum(axis=0) for counts in (ours, theirs)]
    return np.array([len(documents), (frequencies[0] != frequencies[1]).sum()])


if __name__ == "__main__":
    main()
