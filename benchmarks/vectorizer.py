"""How many times faster than CountVectorizer does TextVectorizerTransformer read documents?

The training documents of 20 newsgroups, cut beforehand to 500 tokens a text, and the same tokens
for both (`CountVectorizer` gets our token pattern). The order of the tokens, which a network needs,
is kept by one and dropped by the other. Then one short document on its own, and 100 000 resampled
documents, long and short, with two processes instead of one: they pay off only where two cores are
free. The first call of the long ones has to start the processes; the short ones find them running.
"""

import re
from functools import partial
from timeit import timeit

import numpy as np
from _common import Report, alternate, at_least, at_most, load_corpus, parse_arguments, seconds
from sklearn.feature_extraction.text import CountVectorizer

from sklearn_textcnn import TextVectorizerTransformer

FLOORS = {
    "fit_transform: CountVectorizer / ours": at_least(1.2),
    "transform: CountVectorizer / ours": at_least(1.2),
}
TARGETS = {
    "fit_transform: CountVectorizer / ours": at_least(2),
    "transform: CountVectorizer / ours": at_least(2),
    "one document, microseconds": at_most(30),
    "20ng, fit_transform: 1 process / 2": at_least(1.3),
    "20ng, transform: 1 process / 2": at_least(1.3),
    "MR, fit_transform: 1 process / 2": at_least(1),
    "MR, transform: 1 process / 2": at_least(1),
}
N_TOKENS = 500
ROUNDS = 9
PROCESS_ROUNDS = 5


def main():
    arguments = parse_arguments(__doc__)
    report = Report(__doc__, arguments, FLOORS, TARGETS)
    few = 300 if arguments.quick else None
    long = load_corpus(arguments.data, "20ng/train", few)[0].tolist()
    short = load_corpus(arguments.data, "mr/all", few)[0].tolist()
    against_count_vectorizer(report, long)
    one_document(report, short)
    processes(report, "20ng", long, n_documents=1000 if few else 100_000)
    processes(report, "MR", short, n_documents=1000 if few else 100_000)
    report.finish()


def against_count_vectorizer(report, texts):
    pattern = TextVectorizerTransformer().token_pattern
    texts = [" ".join(re.findall(pattern, text)[:N_TOKENS]) for text in texts]
    vectorizers = {
        "ours": TextVectorizerTransformer(),
        "CountVectorizer": CountVectorizer(token_pattern=pattern),
    }
    for method in ("fit_transform", "transform"):
        calls = {name: partial(getattr(v, method), texts) for name, v in vectorizers.items()}
        results = alternate(calls, ROUNDS)
        ratios = report.times(f"20ng, {len(texts)} documents: {method}", results, "ours")
        report.claim(f"{method}: CountVectorizer / ours", ratios["CountVectorizer"])
    ours, theirs = vectorizers.values()
    assert set(ours.vocabulary_) == set(theirs.vocabulary_)


def one_document(report, texts):
    document = [" ".join(texts[0].split()[:20])]
    vectorizers = {
        "ours": TextVectorizerTransformer().fit(texts),
        "CountVectorizer": CountVectorizer().fit(texts),
    }
    number = 1000
    calls = {name: partial(v.transform, document) for name, v in vectorizers.items()}
    results = alternate(calls, ROUNDS, lambda call: timeit(call, number=number) / number)
    report.times("MR, one document of 20 words: transform", results, "ours")
    report.claim("one document, microseconds", 1e6 * float(np.median(results["ours"])))


def processes(report, name, texts, n_documents):
    texts = np.random.default_rng(0).choice(np.array(texts, dtype=object), n_documents).tolist()
    one, two = TextVectorizerTransformer(), TextVectorizerTransformer(n_jobs=2)
    rows = [
        {"n_jobs": str(v.n_jobs), "seconds": seconds(partial(v.fit, texts))} for v in (two, one)
    ]
    report.table(f"{name}, {n_documents} documents: fit, first call", rows)
    for method in ("fit_transform", "transform"):
        calls = {
            "n_jobs=2": partial(getattr(two, method), texts),
            "n_jobs=None": partial(getattr(one, method), texts),
        }
        results = alternate(calls, PROCESS_ROUNDS)
        ratios = report.times(f"{name}, {n_documents} documents: {method}", results, "n_jobs=2")
        report.claim(f"{name}, {method}: 1 process / 2", ratios["n_jobs=None"])
    assert one.vocabulary_ == two.vocabulary_


if __name__ == "__main__":
    main()
