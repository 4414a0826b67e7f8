"""Do explanations name what decides, and what do they cost?

Deletion: 200 held-out documents of MR and of TREC each lose the n-gram to which `explain_pipeline`
gives the most, and the probability of the class predicted before falls. Beside it: n-grams of the
same length at random places (mean of 10); the word with the highest of `token_weights`; and the
word that LIME gives most, from 500 samples, with the same words and likewise one place at a time.
To delete something breaks all n-grams that share a token with it: "breaks most" are the word and
the n-gram for which these add up to the most. Each with the default classifier and with the network
alone. Times are those of one document, from raw text, one after the other.

Time: `explain` of 1,000 documents beside `predict_proba` of the same ids, both with and without
writing out n-grams and tokens, which happens when they are asked for; and of one document.
"""

import itertools
import re
import time

import numpy as np
from _common import (
    Report,
    alternate,
    at_least,
    at_most,
    load_corpus,
    medians,
    parse_arguments,
)
from lime.lime_text import LimeTextExplainer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer
from sklearn_textcnn.inspection import explain_pipeline

N_DOCUMENTS = 200
N_SAMPLES = 500
N_RANDOM = 10
MODELS = {"defaults": {}, "network alone": {"linear_ngrams": 0}}
CORPORA = "MR", "TREC"
WAYS = NGRAM, RANDOM, WORD, LIME, BREAKING_NGRAM, BREAKING_WORD = (
    "highest n-gram",
    "n-gram at random",
    "highest word",
    "LIME's highest word",
    "n-gram that breaks most",
    "word that breaks most",
)


def of_all(claim, bound):
    return {
        f"{corpus}, {model}: {claim}": bound for corpus, model in itertools.product(CORPORA, MODELS)
    }


TARGETS = {
    **of_all(f"{NGRAM} / {RANDOM}", at_least(1.2)),
    **of_all(f"{NGRAM} / {LIME}", at_least(1)),
    **{f"1,000 documents, {model}: explain / predict_proba": at_most(3) for model in MODELS},
    **{f"one document, {model}: explain and n-grams, ms": at_most(1) for model in MODELS},
}
# A linear part gives most to single words, and LIME tries what losing one does: its word is hard to
# beat by one n-gram. What a document costs depends on how busy the machine is.
FLOORS = TARGETS | {
    **of_all(f"{NGRAM} / {LIME}", at_least(0.8)),
    **of_all(f"{BREAKING_NGRAM} / {LIME}", at_least(1)),
    **{f"one document, {model}: explain and n-grams, ms": at_most(4) for model in MODELS},
}


def main():
    arguments = parse_arguments(__doc__)
    report = Report(__doc__, arguments, FLOORS, TARGETS)
    for corpus in CORPORA:
        train, labels, held_out = documents_of(corpus, arguments)
        n = 5 if arguments.quick else N_DOCUMENTS
        for model, parameters in MODELS.items():
            if arguments.quick:
                parameters = parameters | {"epochs": 1}
            classifier = TextCNNClassifier(**parameters, random_state=0)
            pipeline = make_pipeline(TextVectorizerTransformer(), classifier).fit(train, labels)
            deletion(report, f"{corpus}, {model}", pipeline, held_out[:n])
            if corpus == "MR":
                times(report, model, pipeline, held_out[:1000], 2 if arguments.quick else 15)
    report.finish()


def documents_of(corpus, arguments):
    """Texts and labels to train on, and texts to explain, in random order."""
    n = 400 if arguments.quick else None
    if corpus == "TREC":
        train, labels = load_corpus(arguments.data, "trec/train", n)
        return train, labels, load_corpus(arguments.data, "trec/test")[0]
    texts, labels = load_corpus(arguments.data, "mr/all", n)
    train, held_out, labels, _ = train_test_split(
        texts, labels, test_size=0.1, stratify=labels, random_state=0
    )
    return train, labels, held_out


def deletion(report, title, pipeline, texts):
    """How much the probability of the predicted class falls when something is deleted."""
    rng = np.random.default_rng(0)
    falls = {way: [] for way in WAYS}
    spent = {"explain_pipeline": [], "LIME": []}
    lengths = {way: [] for way in WAYS}
    lime = LimeExplainer(pipeline)
    for text in texts:
        began = time.perf_counter()
        (explanation,) = explain_pipeline(pipeline, [text])
        ngram = max(explanation.ngrams, key=lambda ngram: ngram.contribution)
        word = int(np.argmax(explanation.token_weights))
        spent["explain_pipeline"].append(time.perf_counter() - began)
        breaking = max(explanation.ngrams, key=lambda n: broken(explanation, n.start, n.stop))
        broken_by = [broken(explanation, i, i + 1) for i in range(len(explanation.tokens))]
        began = time.perf_counter()
        place_of_lime = lime(text, explanation.target)
        spent["LIME"].append(time.perf_counter() - began)
        length, n_tokens = ngram.stop - ngram.start, len(explanation.tokens)
        starts = rng.integers(n_tokens - length + 1, size=N_RANDOM)
        offsets = explanation.offsets
        left = [
            without(text, offsets[ngram.start][0], offsets[ngram.stop - 1][1]),
            without(text, *offsets[word]),
            without(text, *place_of_lime),
            without(text, offsets[breaking.start][0], offsets[breaking.stop - 1][1]),
            without(text, *offsets[int(np.argmax(broken_by))]),
            *(without(text, offsets[i][0], offsets[i + length - 1][1]) for i in starts),
        ]
        column = pipeline.classes_.tolist().index(explanation.target)
        before, *after = pipeline.predict_proba([text, *left])[:, column].tolist()
        ways = NGRAM, WORD, LIME, BREAKING_NGRAM, BREAKING_WORD
        for way, probability in zip(ways, after, strict=False):
            falls[way].append(before - probability)
        falls[RANDOM].append(before - np.mean(after[len(ways) :]))
        for way in WAYS:
            lengths[way].append(1)
        lengths[NGRAM][-1] = lengths[RANDOM][-1] = length
        lengths[BREAKING_NGRAM][-1] = breaking.stop - breaking.start
    means = {way: float(np.mean(falls[way])) for way in WAYS}
    rows = []
    for way in WAYS:
        difference = np.subtract(falls[NGRAM], falls[way])
        rows.append(
            {
                "deleted": way,
                "probability falls by": means[way],
                "n-gram's falls further by": float(difference.mean()),
                "+-": float(difference.std(ddof=1) / np.sqrt(len(texts))),
                "tokens": float(np.mean(lengths[way])),
            }
        )
    report.table(f"{title}: {len(texts)} documents", rows)
    middle = medians(spent)
    report.table(
        f"{title}: time of one document",
        [{"": name, "median ms": 1000 * middle[name]} for name in spent],
    )
    for other in (RANDOM, LIME, WORD):
        report.claim(f"{title}: {NGRAM} / {other}", means[NGRAM] / means[other])
    for way in (WORD, BREAKING_NGRAM, BREAKING_WORD):
        report.claim(f"{title}: {way} / {LIME}", means[way] / means[LIME])
    report.claim(f"{title}: time, LIME / ours", middle["LIME"] / middle["explain_pipeline"])


def broken(explanation, start, stop):
    """What the n-grams that share a token with ``tokens[start:stop]`` add."""
    return sum(
        ngram.contribution
        for ngram in explanation.ngrams
        if ngram.start < stop and start < ngram.stop
    )


def without(text, start, stop):
    return f"{text[:start]} {text[stop:]}"


class LimeExplainer:
    """The place of the word that LIME gives most.

    Parameters
    ----------
    pipeline : Pipeline
        Its vectorizer says what a word is.
    """

    def __init__(self, pipeline):
        self._predict, self._classes = pipeline.predict_proba, pipeline.classes_.tolist()
        self._explainer = LimeTextExplainer(
            class_names=list(map(str, self._classes)),
            split_expression=re.compile(pipeline[0].token_pattern).findall,
            bow=False,  # one place at a time
            mask_string=" ",
            random_state=0,
        )

    def __call__(self, text, target):
        column = self._classes.index(target)
        explanation = self._explainer.explain_instance(
            text, self._predict, labels=[column], num_features=1000, num_samples=N_SAMPLES
        )
        number, _ = max(explanation.local_exp[column], key=lambda one: one[1])
        words = explanation.domain_mapper.indexed_string
        start = int(words.string_position(number)[0])
        return start, start + len(words.word(number))


def times(report, model, pipeline, texts, rounds):
    """Time of many documents, and of one at a time."""
    classifier, ids = pipeline[-1], pipeline[:-1].transform(texts)
    rows = itertools.cycle(range(len(ids)))
    documents = itertools.cycle(texts)

    def one():
        i = next(rows)
        return ids[i : i + 1]

    def written(explanations):
        return [(e.ngrams, e.token_weights, e.probabilities) for e in explanations]

    def predict():
        classifier.predict_proba(ids)

    contenders = {
        "predict_proba": predict,
        "explain": lambda: classifier.explain(ids),
        "explain, all written out": lambda: written(classifier.explain(ids)),
    }
    alternate(contenders, 1)
    title = f"{len(ids):,} documents of MR, {model}"
    ratios = report.times(title, alternate(contenders, rounds), "predict_proba")
    report.claim(f"1,000 documents, {model}: explain / predict_proba", ratios["explain"])
    report.claim(
        f"1,000 documents, {model}: explain, all written out / predict_proba",
        ratios["explain, all written out"],
    )
    single = {
        "predict_proba": lambda: classifier.predict_proba(one()),
        "explain and n-grams": lambda: classifier.explain(one())[0].ngrams,
        "explain_pipeline and n-grams": lambda: (
            explain_pipeline(pipeline, [next(documents)])[0].ngrams
        ),
    }
    calls = {name: lambda f=f: [f() for _ in range(20)] for name, f in single.items()}
    alternate(calls, 2)
    results = {
        name: [seconds / 20 for seconds in values]
        for name, values in alternate(calls, 3 * rounds).items()
    }
    report.times(f"One document of MR, {model}", results, "predict_proba")
    for name, seconds in medians(results).items():
        report.claim(f"one document, {model}: {name}, ms", 1000 * seconds)


if __name__ == "__main__":
    main()
