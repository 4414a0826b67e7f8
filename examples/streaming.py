"""Learn from documents as they come in, batch by batch, with memory that does not grow.

The vectorizer hashes tokens into a fixed number of ids. No vocabulary is learned, so words that
turn up late in the stream have their place, too.

    python examples/streaming.py
"""

import time

from sklearn.pipeline import make_pipeline

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer
from sklearn_textcnn.datasets import load_docstrings

HELD_OUT = 1500  # documents that are only ever asked about
BATCH = 500


def batches(texts, labels):
    """Yield the documents in the order in which they come, some at a time."""
    for start in range(0, len(texts), BATCH):
        yield texts[start : start + BATCH], labels[start : start + BATCH]


def main():
    corpus = load_docstrings()  # shuffled
    new, known = corpus.data[:HELD_OUT], corpus.target[:HELD_OUT]
    stream, labels = corpus.data[HELD_OUT:], corpus.target[HELD_OUT:]
    classes = range(len(corpus.target_names))

    vectorizer = TextVectorizerTransformer(hash_buckets=2**15, max_length=100)
    classifier = TextCNNClassifier(random_state=0)
    ids_of_new = vectorizer.transform(new)

    print("  pass  documents    loss  accuracy on new documents")
    began = time.perf_counter()
    for number in (1, 2, 3):  # a stream that is replayed: again over all documents
        seen = 0
        for texts, answers in batches(stream, labels):
            ids = vectorizer.transform(texts)
            classifier.partial_fit(ids, answers, classes=list(classes))
            seen += len(texts)
            if seen % (5 * BATCH) == 0 or seen == len(stream):
                loss = classifier.history_["loss"][-1]
                score = classifier.score(ids_of_new, known)
                bar = "#" * round(40 * score)
                print(f"  {number:4d}  {seen:9,}  {loss:6.3f}  {score:.3f}  {bar}")
    seconds = time.perf_counter() - began
    print(f"\n{seconds:.0f} seconds, {classifier.n_iter_} calls of partial_fit.")

    # Neither step needs fit any more, so together they are a pipeline that takes text.
    model = make_pipeline(vectorizer, classifier)
    sentence = "Find a root of a scalar function on an interval by bisection."
    print(f'\n"{sentence}"\n    {corpus.target_names[model.predict([sentence])[0]]}')


if __name__ == "__main__":
    main()
