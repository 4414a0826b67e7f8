"""How long does it take to distil word vectors from an encoder, and what is best read of it?

all-MiniLM-L6-v2 reads 10,000 sentences in context, and beside that their distinct words alone. Then
what the network gains: its accuracy without the linear part, on vectors of different layers and
dimensions, which are distilled from the training documents and stay as they are; one split and one
seed. Seeds alone make a difference of half a point, so small figures mean nothing.
"""

import numpy as np
from _common import Report, alternate, at_most, load_corpus, parse_arguments, seconds
from _encoder import sentence_encoder, sentence_model
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer, WordVectors

IN_CONTEXT, ALONE = "in context", "words alone"
CLAIM = "10,000 sentences in context, s"
FLOORS = {CLAIM: at_most(150)}
TARGETS = {CLAIM: at_most(60)}

CORPORA = ("MR", "TREC")
CHOICES = {
    ALONE: None,
    "layer 0, the embeddings": {"layer": 0},
    **{f"layer {layer}": {"layer": layer} for layer in (1, 2, 3, 4, 6)},
    **{f"layer 3, {n} dimensions": {"n_components": n} for n in (100, 384)},
}
WITH_TEST = "layer 3, test documents read too, without labels"


def main():
    arguments = parse_arguments(__doc__)
    report = Report(__doc__, arguments, FLOORS, TARGETS)
    texts, _ = load_corpus(arguments.data, "mr/all", 200 if arguments.quick else 10_000)
    sentence_model().encode(["warm"])
    contenders = {
        IN_CONTEXT: lambda: distilled(texts, {}),
        ALONE: lambda: distilled(texts, None),
    }
    times = alternate(contenders, rounds=1 if arguments.quick else 3)
    report.times(f"Distilling {len(texts):,} sentences", times, ALONE)
    report.claim(CLAIM, float(np.median(times[IN_CONTEXT])))

    parts = [corpus(arguments.data, name, 300 if arguments.quick else None) for name in CORPORA]
    epochs = {"epochs": 1} if arguments.quick else {}
    rows = []
    for name, settings in [*CHOICES.items(), (WITH_TEST, {})]:
        scores, taken = [], 0.0
        for train, test, y_train, y_test in parts:
            read = np.concatenate([train, test]) if name == WITH_TEST else train
            made = []
            taken += seconds(lambda: made.append(distilled(read, settings)))  # noqa: B023
            vectorizer = TextVectorizerTransformer()
            if name == WITH_TEST:
                vectorizer.set_params(vocabulary=made[0].tokens)
            network = TextCNNClassifier(
                word_vectors=made[0],
                embedding_mode="static",
                linear_ngrams=0,
                random_state=0,
                **epochs,
            )
            model = make_pipeline(vectorizer, network).fit(train, y_train)
            scores.append(100 * model.score(test, y_test))
        rows.append(
            {"vectors": name}
            | {name: f"{s:.1f}" for name, s in zip(CORPORA, scores, strict=True)}
            | {"distilling, s": taken}
        )
        print(rows[-1], flush=True)
    report.table("Accuracy of the network without the linear part, in per cent", rows)
    report.finish()


def distilled(texts, settings):
    """Vectors read in context, or of words alone where there are no settings for that."""
    vectorizer = TextVectorizerTransformer()
    if settings is None:
        return WordVectors.from_encoder(sentence_encoder(), vectorizer.fit(texts).vocabulary_)
    return WordVectors.from_context(sentence_model(), texts, analyzer=vectorizer, **settings)


def corpus(data, name, few):
    """Training texts, test texts and their labels."""
    if name == "TREC":
        train, test = (load_corpus(data, f"trec/{part}", few) for part in ("train", "test"))
        return train[0], test[0], train[1], test[1]
    texts, labels = load_corpus(data, "mr/all", few)
    return train_test_split(texts, labels, test_size=0.2, stratify=labels, random_state=0)


if __name__ == "__main__":
    main()
