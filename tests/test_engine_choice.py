"""Which engine trains: the parameters decide."""

import numpy as np
import pytest
from classifiers import CLASSES, IDS, PLAIN, VECTORS, run_python, same_weights, small

from sklearn_textcnn import TextCNNClassifier
from sklearn_textcnn import classifier as classifier_module


def engine_of(model):
    """The engine that trained a network that may go on."""
    return type(classifier_module._engines[model][1]).__name__


def trained(engine, **parameters):
    return small(**{"warm_start": True, "epochs": 1} | PLAIN | parameters, engine=engine)


COMMON = [
    {},
    {"embedding_dim": None},
    {"word_vectors": VECTORS, "embedding_mode": "multichannel"},
    {"hidden_units": (4, 3), "activation": "tanh", "max_norm": 3, "l2": 1e-4},
    {"label_smoothing": 0.1, "early_stopping": True, "class_weight": "balanced"},
    {"callbacks": []},
    {"optimizer": "adadelta"},
]


@pytest.mark.parametrize("parameters", COMMON, ids=lambda p: "-".join(p) or "defaults")
def test_numpy_trains_the_common_network(parameters):
    auto, numpy = (trained(engine, **parameters).fit(IDS, CLASSES) for engine in ("auto", "numpy"))
    assert engine_of(auto) == engine_of(numpy) == "NumpyEngine"
    assert same_weights(auto, numpy)


def test_keras_trains_the_others(keras):
    others = {
        "conv_layers=2": {"conv_layers": 2},
        "pooling='average'": {"pooling": "average"},
        r"pooling='max\+average'": {"pooling": "max+average"},
        "callbacks": {"callbacks": [keras.callbacks.Callback()]},
        "optimizer=<.*SGD.*>": {"optimizer": keras.optimizers.SGD},
        "optimizer=<.*Adam object.*>": {"optimizer": keras.optimizers.Adam(0.01)},
    }
    for name, parameters in others.items():
        pattern = f'engine="numpy" trains .* got {name}\\. Use engine='
        with pytest.raises(ValueError, match=pattern):
            trained("numpy", **parameters).fit(IDS, CLASSES)
    for name in ("conv_layers=2", "pooling='average'", "callbacks", "optimizer=<.*SGD.*>"):
        assert engine_of(trained("auto", **others[name]).fit(IDS, CLASSES)) == "KerasEngine"
    several = {"conv_layers": 3, "pooling": "average"}
    with pytest.raises(ValueError, match=r"got conv_layers=3, pooling='average'\. Use engine="):
        trained("numpy", **several).partial_fit(IDS, CLASSES, classes=[0, 1, 2])


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_keras_trains_if_told_to(method, monkeypatch, keras):
    calls = []
    fit = keras.Model.fit

    def recording(self, *arguments, **keywords):
        calls.append([type(layer) for layer in self.layers])
        return fit(self, *arguments, **keywords)

    monkeypatch.setattr(keras.Model, "fit", recording)
    classes = {"classes": [0, 1, 2]} if method == "partial_fit" else {}
    model = trained("keras", dropout=0.0)
    getattr(model, method)(IDS, CLASSES, **classes)
    assert engine_of(model) == "KerasEngine"
    assert len(calls) == 1
    assert [type(layer) for layer in model.to_keras().layers] == calls[0]  # the same network
    common = trained("auto", dropout=0.0)
    getattr(common, method)(IDS, CLASSES, **classes)
    assert len(calls) == 1
    np.testing.assert_allclose(
        model.decision_function(IDS), common.decision_function(IDS), atol=1e-4
    )


def test_engines_change_in_a_stream():
    """The state of the optimizer stays behind; the weights go on."""
    model = trained("numpy", dropout=0.0).fit(IDS, CLASSES)
    before = model.decision_function(IDS)
    model.set_params(engine="keras", learning_rate=1e-30).partial_fit(IDS, CLASSES)
    assert engine_of(model) == "KerasEngine"
    np.testing.assert_array_equal(model.decision_function(IDS), before)
    model.set_params(engine="numpy").partial_fit(IDS, CLASSES)
    assert engine_of(model) == "NumpyEngine"
    np.testing.assert_array_equal(model.decision_function(IDS), before)


@pytest.mark.parametrize("engine", ["tensorflow", None])
def test_other_engines_are_refused(engine):
    with pytest.raises(ValueError, match="The 'engine' parameter of TextCNNClassifier must be a s"):
        TextCNNClassifier(engine=engine).fit(IDS, CLASSES)


def test_a_fit_in_numpy_imports_nothing_of_keras():
    """Nor does a fit in a worker of a search; nor is anything imported to draw."""
    code = """
        import joblib, numpy as np
        from sklearn.model_selection import GridSearchCV
        from sklearn_textcnn import TextCNNClassifier, presets
        heavy = "tensorflow", "keras", "scikeras", "matplotlib"
        def found():
            return sorted(set(heavy) & set(sys.modules))
        if __name__ == "__main__":
            ids, y = np.array([[2, 3], [4, 3], [2, 5], [4, 5]] * 6), np.array([0, 1] * 12)
            small = {"epochs": 1, "filters": 2}
            model = TextCNNClassifier(**small).fit(ids, y)
            model.predict(ids)
            for more in (
                {"embedding_dim": None, "early_stopping": True},
                {"word_vectors": np.ones((6, 3)), "optimizer": "adam"},
                presets.KIM_2014,
                presets.KERAS_TUTORIAL,
            ):
                TextCNNClassifier(**more | small).fit(ids, y)
            TextCNNClassifier(**small).partial_fit(ids, y, classes=[0, 1]).partial_fit(ids, y)
            print(found())
            grid = {"embedding_dim": [4, None]}
            search = GridSearchCV(TextCNNClassifier(**small), grid, cv=2, n_jobs=2).fit(ids, y)
            workers = joblib.Parallel(n_jobs=2)(joblib.delayed(found)() for _ in range(8))
            print(workers == 8 * [[]], np.isfinite(search.cv_results_["mean_test_score"]).all())
        """
    run = run_python(code, JOBLIB_START_METHOD="loky")
    assert run.stdout.splitlines() == ["[]", "True True"], run.stderr
