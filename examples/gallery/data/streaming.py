"""
Learning from a stream
======================

Documents that come in batches, one after the other, need not fit in memory. The vectorizer
hashes tokens into a fixed number of ids, so that it has nothing to learn, and the network
learns from each batch by ``partial_fit``.
"""

# %%
# A stream
# --------
# The last 1,000 documents are held back, to be asked about as the stream goes on. After each
# batch the batch is forgotten.

import matplotlib.pyplot as plt
from sklearn.pipeline import make_pipeline

from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer
from sklearn_textcnn.datasets import load_docstrings

corpus = load_docstrings()  # shuffled
stream, new = corpus.data[:-1000], corpus.data[-1000:]
labels, known = corpus.target[:-1000], corpus.target[-1000:]


def batches(size=500):
    for start in range(0, len(stream), size):
        yield stream[start : start + size], labels[start : start + size]


# %%
# ``hash_buckets`` instead of a vocabulary
# ----------------------------------------
# Every token has an id from the start, also one that turns up late. Two tokens may share an id;
# the more buckets, the fewer do. The first call of ``partial_fit`` must name all classes. A
# stream may be replayed: here it comes twice.


def learn(hash_buckets):
    """Return vectorizer, classifier, and accuracy after each number of documents seen."""
    vectorizer = TextVectorizerTransformer(hash_buckets=hash_buckets, max_length=100)
    classifier = TextCNNClassifier(filters=60, learning_rate=0.002, random_state=0)
    ids_of_new = vectorizer.transform(new)
    seen, scores = [0], []
    for _ in range(2):
        for texts, answers in batches():
            classifier.partial_fit(vectorizer.transform(texts), answers, classes=range(5))
            seen.append(seen[-1] + len(texts))
            scores.append(classifier.score(ids_of_new, known))
    return vectorizer, classifier, seen[1:], scores


figure, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
for exponent, color in [(8, "#e69f00"), (15, "#0072b2")]:
    vectorizer, classifier, seen, scores = learn(2**exponent)
    ax.plot(seen, scores, marker=".", color=color, label=f"$2^{{{exponent}}}$ buckets")
    print(f"2**{exponent:<2} buckets: {scores[-1]:.3f}")
ax.axvline(len(stream), color="0.6", linestyle=":")
ax.set(title="The stream begins again at the dotted line")
ax.set(xlabel="documents seen", ylabel="accuracy on new documents")
ax.legend()
plt.show()

# %%
# Afterwards
# ----------
# Neither step needs ``fit`` any more. Together they are a pipeline that takes text.

model = make_pipeline(vectorizer, classifier)
sentence = "Find a root of a scalar function on an interval by bisection."
print(corpus.target_names[model.predict([sentence])[0]])

# %%
# A stream has no linear part, which is fitted to all documents at once. Where they do fit in
# memory, a single ``fit`` gives the better model. :doc:`/user_guide/streaming` says more.
