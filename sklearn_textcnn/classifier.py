"""TextCNNClassifier: the scikit-learn side of the network."""

from contextlib import contextmanager
from functools import partial
from numbers import Integral, Real
from weakref import WeakKeyDictionary

import numpy as np
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.utils._param_validation import HasMethods, Interval, Options, StrOptions
from sklearn.utils.multiclass import _check_partial_fit_first_call
from sklearn.utils.validation import check_is_fitted

from sklearn_textcnn._linear import (
    NETWORK_SHARE,
    NETWORK_SHARE_WITH_VECTORS,
    fit_linear,
    linear_logits,
)
from sklearn_textcnn._validation import (
    check_answers,
    check_callbacks,
    check_ids,
    check_validation_data,
    check_weights,
    coverage,
    describe_network,
    held_out_split,
    id_space,
    refuse_one_class,
    refuse_other_classes,
    refuse_other_network,
    refuse_other_vocabulary,
    size_of_id_space,
    targets_of,
)
from sklearn_textcnn.inference.forward import Forward
from sklearn_textcnn.token_ids import TokenIds
from sklearn_textcnn.word_vectors import rows_for_ids

# Neither belongs into __dict__: tables are rebuilt from the weights on demand, and the state of
# the optimizer is only good for going on in the same process.
_forwards = WeakKeyDictionary()
_optimizer_states = WeakKeyDictionary()

_TRAINING_OPTIONS = (
    "optimizer learning_rate batch_size epochs dropout token_dropout average max_norm l2 "
    "label_smoothing early_stopping patience callbacks verbose"
).split()


class TextCNNClassifier(ClassifierMixin, BaseEstimator):
    """Convolutional network for text classification.

    The network of Kim (2014): token embeddings, convolutions of several sizes side by side,
    pooling over the document, dropout and a softmax, or a sigmoid for two classes and for
    multi-label targets. Hidden dense layers and stacked convolutions are parameters. It is trained
    with Keras on TensorFlow; the fitted classifier predicts with NumPy alone.

    Parameters
    ----------
    embedding_dim : int or None, default=128
        Dimensions of the token embedding. None: no embedding, the first convolution reads one-hot
        tokens [2]_. Without effect with `word_vectors`, whose dimension counts, but None is
        refused then.
    word_vectors : WordVectors, str, path, mapping, KeyedVectors or array-like, default=None
        Pretrained vectors: see `WordVectors`; or a matrix of shape (n_ids, dim) with a row per id,
        row 0 ignored.
    embedding_mode : {"static", "non-static", "multichannel"}, default="non-static"
        With `word_vectors`: keep them as they are, train them further, or both side by side on
        the embedding axis.
    kernel_sizes : int or tuple of int, default=(3, 4, 5)
        Widths of the convolution windows, in tokens.
    filters : int or tuple of int, default=100
        Number of filters of each kernel size; a tuple holds one number per kernel size.
    conv_layers : int, default=1
        Convolutions stacked on each other, for each kernel size.
    pool_size : int, default=2
        Positions pooled into one between stacked convolutions.
    pooling : {"max", "average", "max+average"}, default="max"
        Pooling over the document.
    activation : {"relu", "tanh", "linear"}, default="relu"
        Activation of convolutions and hidden layers.
    hidden_units : int or tuple of int, default=()
        Sizes of dense layers between pooling and output.
    linear_ngrams : {0, 1, 2}, default=2
        Longest n-grams of the linear part: linear support vector machines and naive Bayes on TF-IDF
        of tokens (1), and of pairs of neighbours (2). A share of the network's logits is added to
        its own: see Notes. 0: the network alone.
    dropout : float, default=0.5
        Share of inputs of each dense layer that are zeroed in training, in [0, 1).
    token_dropout : float, default=0.2
        Share of tokens replaced by the unknown token in training, in [0, 1).
    average : float, default=0.5
        Share of the epochs, the last ones, whose final weights are averaged [4]_, in [0, 1]; 0: the
        weights of the last epoch. Without effect in `partial_fit`, with `early_stopping`, and when
        a callback stops the training.
    max_norm : float or None, default=None
        Limit on the Euclidean norm of each class's weight vector in the output layer (3 in [1]_).
    l2 : float, default=0.0
        Factor of the sum of squares of convolution and dense kernels in the loss.
    label_smoothing : float, default=0.0
        Share `s` of each target that is spread evenly: ``y * (1 - s) + s / n_classes``; with a
        sigmoid ``y * (1 - s) + s / 2``.
    optimizer : {"lazyadam", "adam", "adamw", "sgd", "adagrad", "rmsprop"} or Keras optimizer, \
            default="lazyadam"
        Given by name, a step touches only the embedding rows in the batch, and ends where Keras'
        optimizer of that name does. "lazyadam" is Adam that leaves out what momentum would do to
        the other rows: rare tokens move less, and stay nearer to their pretrained vectors. A Keras
        optimizer class is called with `learning_rate`; an instance is copied for each fit and has
        its own rate; both run as Keras wrote them.
    learning_rate : float, default=0.001
        Step size of the optimizer.
    batch_size : int, default=64
        Documents per training step.
    epochs : int or "auto", default="auto"
        Most passes over the training documents. "auto": 25 for up to 500 documents and fewer the
        more there are, ``round(25 * (500 / n_samples) ** 0.3)``, so 10 for 10,000 and 5 for
        100,000, at least 3; always 25 with `early_stopping`.
    early_stopping : bool, default=False
        Hold out `validation_fraction` of the documents, or use `X_val`, stop once their loss has
        not fallen for `patience` epochs, and keep the weights of the best epoch.
    validation_fraction : float, default=0.1
        Share of the documents held out by `early_stopping`, in (0, 1): shuffled and, except at
        multi-label, stratified. Documents that are alone in their class stay in training.
    patience : int, default=3
        Epochs without a lower validation loss before training stops.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes in the loss, by label, multiplied with `sample_weight`. "balanced":
        ``n_samples / (n_classes * count of the class)``. Must be None for multi-label targets.
    callbacks : Keras callback, list of them or None, default=None
        Copied for each fit: the objects given here are never trained with.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights of the last one.
    random_state : int, RandomState instance or None, default=None
        Source of initial weights, order of the documents, dropout and validation split. With an
        int and the same data, weights are equal bit for bit; where Keras trains the network
        (`callbacks`, an optimizer of Keras, or what `conv_layers`, `pooling` or
        ``embedding_dim=None`` ask for) only with the same number of threads as well.
    verbose : int, default=0
        1: a progress bar over the epochs.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels; ``arange(n_labels)`` for multi-label targets.
    n_features_in_ : int
        Number of token columns seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, only if `X` had names that are all strings.
    n_iter_ : int
        Epochs run.
    best_epoch_ : int or None
        Epoch with the lowest validation loss, counted from 1; None without validation.
    history_ : dict of str to list of float
        Per epoch: "loss" (cross-entropy with label smoothing, weights and l2), "accuracy" and,
        with validation, "val_loss" (cross-entropy alone) and "val_accuracy". Training scores are
        averages over the epoch with dropout on. Accuracies are weighted; at multi-label all labels
        of a document must be right. With a linear part, training scores are those of the network
        alone, validation scores those of the answers. Scores that callbacks add come last.
    vocabulary_ : tuple of str or None
        Tokens of ids 2 and up, if `X` was `TokenIds` of a learned or fixed vocabulary.
    coverage_ : dict of str to float
        With `word_vectors`, the shares of the training documents' "tokens" (each counted once) and
        "running words" that have a vector. Under half of the running words: a UserWarning.

    See Also
    --------
    TextVectorizerTransformer : Turns text into the ids that this classifier reads.

    Notes
    -----
    Id 0 is padding wherever it stands: it adds nothing to a window, and windows that start on it
    are left out of the pooling. So the answer for a document depends neither on trailing padding
    nor on the other documents. A document without tokens has pooled features of 0.

    An id that training never met is read as unknown (id 1) unless it has a pretrained vector. The
    unknown row is trained by unknown tokens in the training documents and by `token_dropout`;
    otherwise it is zero.

    The linear part is three machines on sublinear TF-IDF: a `LinearSVC`, naive Bayes, and a
    `LinearSVC` on features multiplied by naive Bayes log-count ratios [5]_. They are added with the
    factors that give the lowest cross-entropy on documents they have not seen (three folds, as in
    stacking [3]_). A quarter of the network's logits is added to that, half of them if it starts
    from `word_vectors`. `partial_fit` trains the network alone and keeps a linear part that is
    there.

    An optimizer's state stays in memory after `partial_fit` and under `warm_start`, and is never
    pickled.

    References
    ----------
    .. [1] Y. Kim (2014). "Convolutional Neural Networks for Sentence Classification". EMNLP.
    .. [2] R. Johnson, T. Zhang (2015). "Effective Use of Word Order for Text Categorization with
       Convolutional Neural Networks". NAACL.
    .. [3] D. Wolpert (1992). "Stacked Generalization". Neural Networks 5(2).
    .. [4] P. Izmailov et al. (2018). "Averaging Weights Leads to Wider Optima and Better
       Generalization". UAI.
    .. [5] S. Wang, C. D. Manning (2012). "Baselines and Bigrams: Simple, Good Sentiment and Topic
       Classification". ACL.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_textcnn import TextCNNClassifier, TextVectorizerTransformer
    >>> texts = ["a fine film", "what a fine day", "a dull film", "such a dull day"] * 10
    >>> labels = ["good", "good", "bad", "bad"] * 10
    >>> pipe = make_pipeline(
    ...     TextVectorizerTransformer(), TextCNNClassifier(epochs=10, random_state=0)
    ... )
    >>> pipe.fit(texts, labels).predict(["a fine plot", "a dull plot"])
    array(['good', 'bad'], dtype='<U4')
    """

    _parameter_constraints = {
        "embedding_dim": [Interval(Integral, 1, None, closed="left"), None],
        "word_vectors": "no_validation",  # checked where it is read, in fit
        "embedding_mode": [StrOptions({"static", "non-static", "multichannel"})],
        "kernel_sizes": [Interval(Integral, 1, None, closed="left"), tuple, list],
        "filters": [Interval(Integral, 1, None, closed="left"), tuple, list],
        "conv_layers": [Interval(Integral, 1, None, closed="left")],
        "pool_size": [Interval(Integral, 1, None, closed="left")],
        "pooling": [StrOptions({"max", "average", "max+average"})],
        "activation": [StrOptions({"relu", "tanh", "linear"})],
        "hidden_units": [Interval(Integral, 1, None, closed="left"), tuple, list],
        "linear_ngrams": [Options(Integral, {0, 1, 2})],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "token_dropout": [Interval(Real, 0, 1, closed="left")],
        "average": [Interval(Real, 0, 1, closed="both")],
        "max_norm": [Interval(Real, 0, None, closed="neither"), None],
        "l2": [Interval(Real, 0, None, closed="left")],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "optimizer": [
            StrOptions({"lazyadam", "adam", "adamw", "sgd", "adagrad", "rmsprop"}),
            HasMethods(["update_step", "get_config"]),
        ],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "epochs": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "callbacks": [list, tuple, HasMethods(["set_model", "on_epoch_end"]), None],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        embedding_dim=128,
        word_vectors=None,
        embedding_mode="non-static",
        kernel_sizes=(3, 4, 5),
        filters=100,
        conv_layers=1,
        pool_size=2,
        pooling="max",
        activation="relu",
        hidden_units=(),
        linear_ngrams=2,
        dropout=0.5,
        token_dropout=0.2,
        average=0.5,
        max_norm=None,
        l2=0.0,
        label_smoothing=0.0,
        optimizer="lazyadam",
        learning_rate=0.001,
        batch_size=64,
        epochs="auto",
        early_stopping=False,
        validation_fraction=0.1,
        patience=3,
        class_weight=None,
        callbacks=None,
        warm_start=False,
        random_state=None,
        verbose=0,
    ):
        self.embedding_dim = embedding_dim
        self.word_vectors = word_vectors
        self.embedding_mode = embedding_mode
        self.kernel_sizes = kernel_sizes
        self.filters = filters
        self.conv_layers = conv_layers
        self.pool_size = pool_size
        self.pooling = pooling
        self.activation = activation
        self.hidden_units = hidden_units
        self.linear_ngrams = linear_ngrams
        self.dropout = dropout
        self.token_dropout = token_dropout
        self.average = average
        self.max_norm = max_norm
        self.l2 = l2
        self.label_smoothing = label_smoothing
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.epochs = epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.class_weight = class_weight
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None):
        """Train the network.

        Parameters
        ----------
        X : TokenIds or array-like of int, shape (n_samples, n_tokens)
            Token ids: 0 padding, 1 unknown, 2 and up tokens.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels (strings, integers, booleans), or a multi-label indicator matrix.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the documents in the loss. Documents of weight 0 are left out.
        X_val : TokenIds or array-like of int, shape (n_validation_samples, n_tokens), default=None
            Documents to validate on after each epoch, in place of a split from `X`. In a
            `Pipeline`, ``transform_input=["X_val"]`` turns texts into ids.
        y_val : array-like, default=None
            Labels of `X_val`.

        Returns
        -------
        self : TextCNNClassifier
            The fitted classifier.

        Raises
        ------
        ValueError
            If ids, labels, weights or validation data cannot be used; the message says why. An
            earlier fit stays as it was.
        ImportError
            If Keras does not run on TensorFlow.
        """
        with _unchanged_on_failure(self):
            going_on = self.warm_start and hasattr(self, "_weights")
            y, multilabel = check_answers(self, X, y)
            classes = np.arange(y.shape[1]) if multilabel else np.unique(y)
            weights = check_weights(sample_weight, self.class_weight, y, classes)
            if not multilabel:
                # before the ids are looked at: what is wrong with those is not the first news
                refuse_one_class(y[weights > 0])
            if going_on:
                refuse_other_classes(classes, self.classes_, multilabel, self._multilabel)
            self.classes_ = classes
            ids = check_ids(self, X, reset=True)
            self._begin(X, multilabel, going_on)
            targets = targets_of(y, classes, multilabel)
            rows = np.flatnonzero(weights)
            validation = check_validation_data(
                self, X_val, y_val, classes, multilabel, self._id_space
            )
            rng = self._random_stream()
            if validation is None and self.early_stopping:
                rows, held_out = held_out_split(
                    rows, None if multilabel else y, self.validation_fraction, rng
                )
                validation = _taken((ids, targets, weights), held_out)
            documents = _taken((ids, targets, weights), rows)
            self._train(documents, validation, size_of_id_space(X, ids), rng)
            return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train for one pass over a batch of documents.

        Parameters
        ----------
        X : TokenIds or array-like of int, shape (n_samples, n_tokens)
            Token ids. `hash_buckets` or `vocabulary` of `TextVectorizerTransformer` give ids
            that mean the same in every batch.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Labels of the batch, which need not hold every class.
        classes : array-like of shape (n_classes,), default=None
            All classes; needed in the first call unless `y` is a multi-label indicator matrix.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the documents in the loss.

        Returns
        -------
        self : TextCNNClassifier
            The fitted classifier.

        Raises
        ------
        ValueError
            If the batch does not go on from earlier ones, with ``early_stopping=True`` and with
            ``class_weight="balanced"``; see also `fit`. The classifier stays as it was.
        ImportError
            If Keras does not run on TensorFlow.

        Notes
        -----
        The random stream, `history_` and the state of the optimizer go on from call to call. The
        state of the optimizer stays in memory but is not pickled.
        """
        self._refuse_partial_fit()
        with _unchanged_on_failure(self):
            first = not hasattr(self, "_weights")
            y, multilabel = check_answers(self, X, y, part=True)
            self._check_classes_of_stream(y, classes, multilabel, first)
            targets = targets_of(y, self.classes_, multilabel)
            weights = check_weights(sample_weight, self.class_weight, y, self.classes_)
            ids = check_ids(self, X, reset=first)
            self._begin(X, multilabel, going_on=not first)
            documents = _taken((ids, targets, weights), np.flatnonzero(weights))
            rng = self._random_stream()
            self._train(documents, None, size_of_id_space(X, ids), rng, partial=True)
            return self

    def predict(self, X):
        """Most probable class of each document; at multi-label every label with probability > 0.5.

        Parameters
        ----------
        X : TokenIds or array-like of int, shape (n_samples, n_tokens)
            Token ids.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels)
            Class labels, or an indicator matrix.
        """
        logits = self._logits(X)
        if self._multilabel:
            return (logits > 0).astype(np.int64)
        if len(self.classes_) == 2:
            return self.classes_[(logits[:, 0] > 0).astype(np.intp)]
        return self.classes_[logits.argmax(axis=1)]

    def predict_proba(self, X):
        """Probability of each class, or of each label.

        Parameters
        ----------
        X : TokenIds or array-like of int, shape (n_samples, n_tokens)
            Token ids.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), dtype float32
            Columns as in `classes_`. Rows sum to 1, unless at multi-label, where each column is
            the probability of a label of its own.
        """
        logits = self._logits(X)
        if self._multilabel:
            return expit(logits)
        if len(self.classes_) == 2:
            return np.concatenate([expit(-logits), expit(logits)], axis=1)
        return softmax(logits, axis=1)

    def predict_log_proba(self, X):
        """Logarithm of the probabilities, computed from the logits: never the logarithm of 0.

        Parameters
        ----------
        X : TokenIds or array-like of int, shape (n_samples, n_tokens)
            Token ids.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), dtype float32
            Columns as in `predict_proba`.
        """
        logits = self._logits(X)
        if self._multilabel:
            return log_expit(logits)
        if len(self.classes_) == 2:
            return np.concatenate([log_expit(-logits), log_expit(logits)], axis=1)
        return log_softmax(logits, axis=1)

    def decision_function(self, X):
        """Logits: what goes into the softmax, or the sigmoid.

        Parameters
        ----------
        X : TokenIds or array-like of int, shape (n_samples, n_tokens)
            Token ids.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes), dtype float32
            With two classes one number per document, positive for ``classes_[1]``.
        """
        logits = self._logits(X)
        return logits[:, 0] if len(self.classes_) == 2 and not self._multilabel else logits

    def to_keras(self):
        """Build a Keras model with the fitted weights, of Keras' own layers only.

        Returns
        -------
        keras.Model
            int32 ids of shape (n_samples, any width) -> probabilities of shape
            (n_samples, n_outputs): one sigmoid unit for two classes (the probability of
            ``classes_[1]``), a softmax for more, a sigmoid per label at multi-label. It saves,
            loads and exports without this package.
        """
        check_is_fitted(self)
        from sklearn_textcnn.training.network import plain_keras_model

        return plain_keras_model(
            self._architecture,
            self._weights,
            len(self._known),
            self._multilabel,
            self.dropout,
            self._linear,
            self._network_share,
        )

    def _refuse_partial_fit(self):
        for name, used in (
            ("early_stopping=True", self.early_stopping),
            ('class_weight="balanced"', isinstance(self.class_weight, str)),
        ):
            if used:
                raise ValueError(
                    f"partial_fit sees one batch and cannot use {name}. Use fit, or pass "
                    "sample_weight and watch a score between calls."
                )

    def _check_classes_of_stream(self, y, classes, multilabel, first):
        """Set `classes_` in the first call, refuse other ones later."""
        if not first:
            now = np.arange(y.shape[1]) if multilabel else classes
            if now is None:
                now = self.classes_
            refuse_other_classes(np.unique(now), self.classes_, multilabel, self._multilabel)
            return
        vars(self).pop("classes_", None)
        if multilabel and classes is None:
            classes = np.arange(y.shape[1])
        _check_partial_fit_first_call(self, classes)
        if multilabel and not np.array_equal(self.classes_, np.arange(y.shape[1])):
            raise ValueError(
                f"classes must be None or 0 to {y.shape[1] - 1}, the columns of y, for multi-label "
                f"targets; got {self.classes_.tolist()}."
            )
        if len(self.classes_) < 2:
            raise ValueError(
                f"classes must name at least 2 classes; got {self.classes_.tolist()}. "
                "Name every class that will come."
            )

    def _begin(self, X, multilabel, going_on):
        """Forget the earlier fit, or make sure that the new ids go on from it."""
        if going_on:
            refuse_other_vocabulary(X, self._id_space, "X")
            return
        for name in (
            "_weights",
            "_random_stream_state",
            "history_",
            "n_iter_",
            "best_epoch_",
            "coverage_",
            "_linear",
        ):
            vars(self).pop(name, None)
        self._multilabel = multilabel
        self._known = np.zeros(0, dtype=bool)
        self._id_space = id_space(X)
        self.vocabulary_ = getattr(X, "vocabulary", None)

    def _random_stream(self):
        """The generator behind every random number of a fit."""
        rng = np.random.default_rng()
        if hasattr(self, "_random_stream_state"):
            rng.bit_generator.state = self._random_stream_state
        elif isinstance(self.random_state, np.random.RandomState):
            rng = np.random.default_rng(self.random_state.randint(2**32, size=4, dtype=np.uint32))
        elif self.random_state is not None:
            rng = np.random.default_rng(self.random_state)
        return rng

    def _train(self, documents, validation, n_ids, rng, partial=False):
        """Train from scratch or from the weights at hand, and store what comes of it."""
        ids, targets, weights = documents
        optimizer, optimizer_state = _optimizer_states.get(self, (None, None))
        if not hasattr(self, "_weights") or optimizer != self.optimizer:
            optimizer_state = None
        architecture, start, known = self._starting_point(ids, targets.shape[1], n_ids, rng)
        linear = self._linear_part(documents, len(known), rng, partial)
        if validation is not None:
            added = None if linear is None else linear_logits(linear, validation[0])
            # as in prediction: what training has not met is unknown
            val_ids = np.where(validation[0] < len(known), validation[0], 1)
            validation = np.where(known[val_ids], val_ids, 1), *validation[1:], added
        options = {name: getattr(self, name) for name in _TRAINING_OPTIONS}
        options["network_share"] = self._network_share
        if self.epochs == "auto":
            options["epochs"] = _enough_epochs(0 if self.early_stopping else len(ids))
        options["callbacks"] = check_callbacks(self)
        if partial:
            options |= {"epochs": 1, "verbose": 0, "average": 0}
        keeps_on = partial or self.warm_start

        from sklearn_textcnn.training import initialization
        from sklearn_textcnn.training.trainer import Documents, Options, train

        result = train(
            architecture,
            start,
            len(known),
            self._multilabel,
            Documents(ids, targets, weights),
            None if validation is None else Documents(*validation),
            Options(**options),
            rng,
            optimizer_state=optimizer_state,
            keep_optimizer_state=keeps_on,
        )
        self._architecture = architecture
        self._linear, self._linear_ngrams = linear, int(self.linear_ngrams)
        self._weights = initialization.share_unknown_row(result.weights, known)
        self._known = known
        self._random_stream_state = rng.bit_generator.state
        self._record(result, partial)
        _optimizer_states.pop(self, None)
        if keeps_on:
            _optimizer_states[self] = self.optimizer, result.optimizer_state

    def _linear_part(self, documents, n_ids, rng, partial):
        """The linear part; None without one."""
        ids, targets, weights = documents
        if partial:
            return vars(self).get("_linear")
        if not self.linear_ngrams:
            return None
        one_of = targets.shape[1] > 1 and not self._multilabel
        return fit_linear(ids, targets, weights, n_ids, self.linear_ngrams, one_of, rng)

    def _starting_point(self, ids, n_outputs, n_ids, rng):
        """Architecture, what makes the first weights, and which ids have a row of their own."""
        from sklearn_textcnn.training import initialization

        going_on = hasattr(self, "_weights")
        vectors, dim = None, 0
        known = np.zeros(max(n_ids, len(self._known)), dtype=bool)
        if going_on:
            known[: len(self._known)] = self._known
            # those of the earlier fit: reading the vectors again to compare them is not worth it
            dim = max(self._architecture["static_dim"], self._architecture["trained_dim"])
        elif self.word_vectors is not None:
            vectors, known = self._read_word_vectors(n_ids)
            dim = vectors.shape[1]
        pretrained = self.word_vectors is not None
        if not going_on:
            self._network_share = NETWORK_SHARE_WITH_VECTORS if pretrained else NETWORK_SHARE
        architecture = describe_network(self, dim, n_outputs)
        counts = np.bincount(ids.ravel(), minlength=len(known))
        if vectors is not None:
            self.coverage_ = coverage(counts, known)
        seen = counts > 0
        seen[:2] = True
        if going_on:
            now = architecture | {"linear_ngrams": self.linear_ngrams}
            before = self._architecture | {"linear_ngrams": self._linear_ngrams}
            had_vectors = hasattr(self, "coverage_")
            if pretrained and not had_vectors:
                now["word_vectors"], before["word_vectors"] = type(self.word_vectors).__name__, None
            refuse_other_network(now, before)
            start = partial(
                initialization.with_new_rows,
                self._weights,
                len(known),
                seen & ~known,
                known,
                had_vectors,
                rng,
            )
        else:
            start = partial(
                initialization.initial_weights, architecture, len(known), seen, vectors, known, rng
            )
        return architecture, start, known | seen

    def _read_word_vectors(self, n_ids):
        if self.embedding_dim is None:
            raise ValueError(
                "embedding_dim=None convolves over one-hot tokens and has no place for "
                "word_vectors. Leave embedding_dim at its default (the dimension is that of the "
                "vectors), or set word_vectors=None."
            )
        return rows_for_ids(self.word_vectors, self.vocabulary_, n_ids, verbose=self.verbose)

    def _record(self, result, partial):
        """Store the course of the training; a stream of batches adds to what is there."""
        earlier = vars(self).get("history_", {}) if partial else {}
        history = {name: earlier.get(name, []) + values for name, values in result.history.items()}
        self.history_ = earlier | history
        self.n_iter_ = len(history["loss"])
        self.best_epoch_ = vars(self).get("best_epoch_") if partial else result.best_epoch

    def _logits(self, X):
        check_is_fitted(self)
        if not (
            type(X) is TokenIds
            and X.vocabulary is self.vocabulary_ is not None
            and X.ndim == 2
            and X.shape[1] == self.n_features_in_
            and len(X)
        ):
            ids = check_ids(self, X, reset=False)
            refuse_other_vocabulary(X, self._id_space, "X")
            X = ids
        X = np.asarray(X)
        logits = self._forward().logits(X)
        if self._linear is None:
            return logits
        return (self._network_share * logits + linear_logits(self._linear, X)).astype(np.float32)

    def _forward(self):
        entry = _forwards.get(self)
        if entry is None or entry.weights is not self._weights:
            entry = _forwards[self] = Forward(self._architecture, self._weights)
        return entry

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        tags.input_tags.positive_only = True
        tags.input_tags.sparse = False
        tags.classifier_tags.multi_class = True
        tags.classifier_tags.multi_label = True
        return tags


def _enough_epochs(n_samples):
    """Passes after which more gain nothing: many over few documents, few over many."""
    return max(round(25 * (500 / max(n_samples, 500)) ** 0.3), 3)


def _taken(arrays, rows):
    """The given rows of arrays; the arrays themselves, not copied, if these are all."""
    return arrays if len(rows) == len(arrays[0]) else tuple(array[rows] for array in arrays)


@contextmanager
def _unchanged_on_failure(estimator):
    """Put the attributes back if anything goes wrong, Ctrl-C included."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
