"""Small made-up corpora whose labels follow from a few words, shared by the tests."""

import numpy as np

FILLERS = "the a of and in on with some this that very quite then also here there again".split()
TOPICS = {
    "cooking": "oven butter recipe soup".split(),
    "space": "orbit rocket planet moon".split(),
    "sport": "goal match referee league".split(),
}


def topic_texts(n_documents=120, topics=("cooking", "space", "sport"), seed=0, shares=None):
    """Texts of filler words with one or two words of a topic, and the topics as labels.

    Parameters
    ----------
    n_documents : int
    topics : sequence of str
    seed : int
    shares : sequence of float, default=None
        Share of each topic; None: equal ones.

    Returns
    -------
    texts : list of str
    labels : ndarray of str
    """
    rng = np.random.default_rng(seed)
    labels = rng.choice(topics, n_documents, p=shares)
    if shares is None:
        labels = np.resize(topics, n_documents)
    texts = []
    for label in labels:
        words = list(rng.choice(FILLERS, rng.integers(2, 9)))
        for word in rng.choice(TOPICS[label], rng.integers(1, 3), replace=False):
            words.insert(rng.integers(len(words) + 1), word)
        texts.append(" ".join(words))
    return texts, labels


N_KEYWORDS = 3
FIRST_FILLER = 20
LAST_FILLER = 49


def keyword_ids(n_documents=96, n_classes=3, n_tokens=10, seed=0):
    """Ids of documents with one keyword of their class among fillers, and class numbers.

    Keywords of class ``c`` are the ids from ``2 + 3 * c``; fillers go from 20 to 49. Rows end in
    padding, except some that fill all columns. Both arrays are read-only.

    Returns
    -------
    ids : ndarray of shape (n_documents, n_tokens)
    classes : ndarray of shape (n_documents,)
    """
    rng = np.random.default_rng(seed)
    classes = np.resize(np.arange(n_classes), n_documents)
    ids = np.zeros((n_documents, n_tokens), dtype=np.int32)
    for row, label in zip(ids, classes, strict=True):
        length = rng.integers(1, n_tokens + 1)
        row[:length] = rng.integers(FIRST_FILLER, LAST_FILLER + 1, length)
        row[rng.integers(length)] = 2 + N_KEYWORDS * label + rng.integers(N_KEYWORDS)
    return read_only(ids), read_only(classes)


def word_order(n_documents, seed=0):
    """Ids of documents whose class is the order of two tokens, 2 and 3, 4 and 5, or 6 and 7.

    Nothing but pairs of neighbours tells the classes apart.

    Returns
    -------
    ids : ndarray of shape (n_documents, 8)
    classes : ndarray of shape (n_documents,)
    """
    rng = np.random.default_rng(seed)
    classes = rng.integers(2, size=n_documents)
    ids = rng.integers(FIRST_FILLER, LAST_FILLER + 1, (n_documents, 8))
    for row, label in zip(ids, classes, strict=True):
        first = 2 * rng.integers(1, 4)
        place = rng.integers(7)
        row[place : place + 2] = (first, first + 1) if label else (first + 1, first)
    return read_only(ids), read_only(classes)


def read_only(array):
    array = np.array(array)
    array.setflags(write=False)
    return array
