"""Pictures of a history, of the strongest n-grams, and of an explanation."""

import unicodedata
import warnings

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from classifiers import IDS, JUDGED, NAMES, both_count, run_python, small
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sklearn_textcnn import NgramLinearClassifier, TextCNNClassifier, TextVectorizerTransformer
from sklearn_textcnn.inspection import (
    Explanation,
    ExplanationDisplay,
    NGram,
    TopNgramsDisplay,
    TrainingHistoryDisplay,
    _writing,
    explain_pipeline,
)
from sklearn_textcnn.inspection._writing import (
    Writer,
    as_seen,
    base_direction,
    shortened,
    visual_order,
)

TEXTS = ["a fine film", "what a fine day", "a dull film", "such a dull day"] * 10
LABELS = ["good", "good", "bad", "bad"] * 10
BLUE, VERMILION = (0, 114 / 255, 178 / 255), (213 / 255, 94 / 255, 0)
MINUS = "\N{MINUS SIGN}"
HISTORY = {
    "loss": [0.9, 0.5, 0.4],
    "accuracy": [0.5, 0.7, 0.8],
    "val_loss": [0.8, 0.6, 0.7],
    "val_accuracy": [0.6, 0.8, 0.7],
}
NGRAMS = {
    "bad": [("dull", 9.0), ("such a dull", 4.0)],
    "good": [("fine", 8.0), ("a fine", 3.0), ("day", 1.0)],
}
HEBREW = "סרט מצוין film 12!"


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def pipe():
    return make_pipeline(TextVectorizerTransformer(), NgramLinearClassifier(random_state=0)).fit(
        TEXTS, LABELS
    )


def explanation_of(tokens, weights, **others):
    """One whose n-grams are its tokens."""
    ngrams = [
        NGram(i, i + 1, token, weight, "linear")
        for i, (token, weight) in enumerate(zip(tokens, weights, strict=True))
    ]
    ngrams.sort(key=lambda ngram: -abs(ngram.contribution))
    total = {"logit": sum(weights) + 0.5, "bias": 0.5, "target": "good"}
    known = {"ngrams": ngrams, "probabilities": {"bad": 0.2, "good": 0.8}}
    return Explanation(
        **{"tokens": tokens, "token_weights": np.array(weights)} | total | known | others
    )


def widths(bars):
    return [bar.get_width() for bar in bars]


def tick_labels(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def words(display):
    return [text.get_text() for text in display.texts_]


def savefig(figure, tmp_path):
    """Draw in earnest: warnings of a picture come only then."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(tmp_path / "figure.png")
        figure.savefig(tmp_path / "figure.svg")


# --- the history of a fit


def test_history_begins_with_epoch_1(tmp_path):
    display = TrainingHistoryDisplay(HISTORY).plot()
    assert set(display.lines_) == set(HISTORY)
    for name, line in display.lines_.items():
        assert line.get_xdata().tolist() == [1, 2, 3]
        assert list(line.get_ydata()) == HISTORY[name]
    assert [ax.get_ylabel() for ax in display.axes_] == ["loss", "accuracy"]
    assert {name: line.axes for name, line in display.lines_.items()} == {
        name: display.axes_[int("accuracy" in name)] for name in HISTORY
    }
    assert {line.get_linestyle() for line in display.lines_.values()} == {"-", "--"}
    assert display.axes_[0].figure is display.figure_
    savefig(display.figure_, tmp_path)


def labelled(ax):
    return dict(zip(*ax.get_legend_handles_labels()[::-1], strict=True))


def test_history_marks_the_best_epoch():
    display = TrainingHistoryDisplay(HISTORY, best_epoch=2).plot()
    for ax in display.axes_:
        assert set(labelled(ax)["weights kept: epoch 2"].get_xdata()) == {2}
    assert not any("averaged" in label for label in labelled(display.axes_[0]))


def test_history_marks_averaged_epochs():
    display = TrainingHistoryDisplay(HISTORY, averaged=(2, 3)).plot()
    for ax in display.axes_:
        box = labelled(ax)["weights averaged: epochs 2 to 3"].get_extents()
        x0, x1 = ax.transData.inverted().transform([(box.x0, 0), (box.x1, 0)])[:, 0]
        assert (x0, x1) == pytest.approx((1.5, 3.5))


@pytest.mark.parametrize(
    ("parameters", "best", "averaged"),
    [
        ({"epochs": 5, "linear_ngrams": 0}, None, (3, 5)),
        ({"epochs": 4, "linear_ngrams": 0, "average": 0.25}, None, None),  # the mean of one
        ({"epochs": 4, "linear_ngrams": 0, "average": 0.0}, None, None),
        ({"epochs": 3, "linear_ngrams": 0, "early_stopping": True, "patience": 9}, "known", None),
    ],
)
def test_history_of_a_classifier(parameters, best, averaged):
    classifier = small(**parameters).fit(IDS, NAMES[np.arange(len(IDS)) % 3])
    display = TrainingHistoryDisplay.from_estimator(classifier)
    assert display.history is classifier.history_
    assert display.best_epoch == classifier.best_epoch_
    assert (display.best_epoch is None) == (best is None)
    assert display.averaged == averaged
    assert len(display.lines_["loss"].get_xdata()) == classifier.n_iter_


def test_history_with_the_linear_part():
    classifier = small(epochs=2).fit(IDS, np.arange(len(IDS)) % 3, **JUDGED)
    display = TrainingHistoryDisplay.from_estimator(classifier)
    line = display.lines_["val_loss_with_linear"]
    assert list(line.get_ydata()) == classifier.history_["val_loss_with_linear"]
    assert line.axes is display.axes_[0]
    assert line.get_linestyle() == "-."


def test_nothing_is_averaged_where_the_network_counts_nothing():
    classifier = small(epochs=4, linear_ngrams=0).fit(IDS, np.arange(len(IDS)) % 3)
    classifier.part_weights_ = {"linear": 1.0, "network": 0.0}
    assert TrainingHistoryDisplay.from_estimator(classifier).averaged is None


def test_history_of_a_stream():
    classifier = small(linear_ngrams=0)
    for _ in range(3):
        classifier.partial_fit(IDS, np.arange(len(IDS)) % 3, classes=[0, 1, 2])
    display = TrainingHistoryDisplay.from_estimator(classifier)
    assert display.lines_["loss"].get_xdata().tolist() == [1, 2, 3]
    assert (display.best_epoch, display.averaged) == (None, None)


def test_history_of_a_pipeline():
    classifier = TextCNNClassifier(epochs=2, linear_ngrams=0, filters=4, random_state=0)
    model = make_pipeline(TextVectorizerTransformer(), classifier).fit(TEXTS, LABELS)
    display = TrainingHistoryDisplay.from_estimator(model, linewidth=5)
    assert display.history is model[-1].history_
    assert display.lines_["loss"].get_linewidth() == 5


def test_history_refuses():
    with pytest.raises(NotFittedError):
        TrainingHistoryDisplay.from_estimator(TextCNNClassifier())
    with pytest.raises(TypeError, match="got NgramLinearClassifier, which has no epochs"):
        TrainingHistoryDisplay.from_estimator(NgramLinearClassifier())
    with pytest.raises(ValueError, match=r"must hold \"loss\" or \"accuracy\".*got \['lr'\]"):
        TrainingHistoryDisplay({"lr": [1.0]}).plot()


# --- axes


def test_one_ax_is_where_all_is_drawn():
    figure, (left, right) = plt.subplots(1, 2)
    place = left.get_position()
    display = TrainingHistoryDisplay(HISTORY).plot(left)
    assert display.figure_ is figure
    assert len(figure.axes) == 4
    assert not left.axison
    for ax in display.axes_:
        inside = ax.get_position()
        assert place.x0 - 1e-6 <= inside.x0 < inside.x1 <= place.x1 + 1e-6
    assert right.axison
    assert display.axes_[0].get_legend() is not None


def test_as_many_axes_as_pictures_are_taken():
    figure, axes = plt.subplots(1, 2)
    display = TrainingHistoryDisplay(HISTORY).plot(axes)
    assert list(display.axes_) == list(axes)
    assert len(figure.axes) == 2
    _, ax = plt.subplots()
    assert TrainingHistoryDisplay({"loss": [1.0]}).plot(ax).axes_[0] is ax


def test_other_axes_are_refused():
    figure, axes = plt.subplots(1, 3)
    with pytest.raises(ValueError, match=r"one matplotlib Axes or 2 of them.*got 3"):
        TrainingHistoryDisplay(HISTORY).plot(axes)
    with pytest.raises(ValueError, match="2 pictures are drawn in the place of ax"):
        TrainingHistoryDisplay(HISTORY).plot(figure.add_axes([0, 0, 1, 1]))


# --- n-grams of the classes


def test_top_ngrams_are_bars(tmp_path):
    display = TopNgramsDisplay.from_ngrams(NGRAMS)
    assert [ax.get_title() for ax in display.axes_] == ["bad", "good"]
    assert widths(display.bars_["bad"]) == [9, 4]
    assert widths(display.bars_["good"]) == [8, 3, 1]
    assert tick_labels(display.axes_[1]) == ["fine", "a fine", "day"]
    first, last = (bar.get_y() for bar in display.bars_["good"].patches[::2])
    bottom, top = display.axes_[1].get_ylim()
    assert top < first < last < bottom  # the y axis points down: the first is on top
    assert len({ax.get_xlim() for ax in display.axes_}) == 1
    assert {bar.get_facecolor()[:3] for bar in display.bars_["bad"]} == {BLUE}
    savefig(display.figure_, tmp_path)


def test_what_is_against_a_class_has_its_color():
    bars = TopNgramsDisplay({"a": [("x", -2.0), ("y", 1.0)]}).plot().bars_["a"]
    assert [bar.get_facecolor()[:3] for bar in bars] == [VERMILION, BLUE]
    assert [bar.get_linestyle() for bar in bars] == ["--", "-"]


def test_top_ngrams_of_an_estimator(pipe):
    ids = pipe[:-1].transform(TEXTS)
    expected = pipe[-1].top_ngrams(ids, 3)
    for display in (
        TopNgramsDisplay.from_estimator(pipe, TEXTS, n=3),
        TopNgramsDisplay.from_estimator(pipe[-1], ids, n=3),
    ):
        assert display.ngrams == expected
        for label, found in expected.items():
            assert widths(display.bars_[label]) == pytest.approx([value for _, value in found])


def test_classes_are_chosen(pipe):
    display = TopNgramsDisplay.from_estimator(pipe, TEXTS, classes=["good"])
    assert list(display.bars_) == ["good"]
    assert TopNgramsDisplay.from_ngrams(NGRAMS, classes=["good", "bad"]).axes_[0].get_title() == (
        "good"
    )
    with pytest.raises(ValueError, match=r"classes must be some of \['bad', 'good'\]; got \['b'\]"):
        TopNgramsDisplay.from_ngrams(NGRAMS, classes=["b", "good"])
    with pytest.raises(ValueError, match=r"got \[\]"):
        TopNgramsDisplay.from_ngrams(NGRAMS, classes=[])


def test_top_ngrams_refuse(pipe):
    for ngrams in ({}, [("a", 1.0)]):
        with pytest.raises(ValueError, match="ngrams must be a dict of class to list"):
            TopNgramsDisplay.from_ngrams(ngrams)
    with pytest.raises(TypeError, match="ends in one; got LogisticRegression"):
        TopNgramsDisplay.from_estimator(LogisticRegression(), TEXTS)
    with pytest.raises(ValueError, match="n must be an integer from 1 on"):
        TopNgramsDisplay.from_estimator(pipe, TEXTS, n=0)


@pytest.mark.parametrize(("n_classes", "shape"), [(2, (1, 2)), (6, (2, 3)), (20, (5, 4))])
def test_many_classes_are_a_grid_that_does_not_overlap(n_classes, shape):
    texts = [("a very long n-gram that nobody can read to its end", 5.0), ("b", 2.0)] * 2
    display = TopNgramsDisplay({f"class {i}": texts for i in range(n_classes)}).plot()
    grid = display.axes_[-1].get_subplotspec().get_gridspec()
    assert grid.get_geometry() == shape
    display.figure_.draw_without_rendering()
    boxes = [ax.get_tightbbox() for ax in display.axes_]
    assert max(box.x1 for box in boxes) <= display.figure_.bbox.x1 + 1
    for i, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[i + 1 :])


def test_a_class_without_ngrams_says_so():
    display = TopNgramsDisplay({"a": [("x", 1.0)], "b": []}).plot()
    assert [text.get_text() for text in display.axes_[1].texts] == ["none"]
    assert widths(display.bars_["b"]) == []


# --- an explanation


def test_explanation_of_a_text(pipe, tmp_path):
    text = "A FINE Werckmeister film!"
    display = ExplanationDisplay.from_pipeline(pipe, text)
    (explanation,) = explain_pipeline(pipe, [text])
    assert words(display) == ["A", "FINE", "Werckmeister", "film", "!"]
    assert widths(display.bars_) == [ngram.contribution for ngram in explanation.ngrams[:10]]
    assert tick_labels(display.axes_[1]) == [ngram.text for ngram in explanation.ngrams[:10]]
    assert tick_labels(display.axes_[2]) == ["linear", "bias", "logit"]
    expected = [explanation.by_part()["linear"], explanation.bias, explanation.logit]
    assert widths(display.part_bars_) == pytest.approx(expected)
    probability = f"{explanation.probabilities['good']:.3f}"
    title = display.axes_[0].get_title("left")
    assert title == f"good: logit +{explanation.logit:.2f}, probability {probability}"
    savefig(display.figure_, tmp_path)


def colored(display):
    """Left end and color of what lies under the words."""
    return [
        (patch.get_x(), patch.get_facecolor()[:3], patch.get_facecolor()[3])
        for patch in display.axes_[0].patches
    ]


def test_tokens_are_colored_by_their_weights():
    explanation = explanation_of(["no", "very", "fine", "film"], [-1.0, 0.001, 2.0, 0.5])
    display = ExplanationDisplay.from_explanation(explanation)
    at = {text.get_text(): text.get_position()[0] for text in display.texts_}
    no, fine, film = colored(display)
    assert [x for x, *_ in (no, fine, film)] == [at["no"], at["fine"], at["film"]]
    assert [color for _, color, _ in (no, fine, film)] == [VERMILION, BLUE, BLUE]
    assert [alpha for *_, alpha in (no, fine, film)] == pytest.approx([0.3, 0.52, 0.19])
    solid = [line.get_linestyle() for line in display.axes_[0].lines]
    assert solid == ["--", "-", "-"]


def test_both_parts_are_named():
    model = make_pipeline(
        TextVectorizerTransformer(), small(epochs=2, random_state=0, **{"kernel_sizes": (2,)})
    ).fit(TEXTS, LABELS)
    both_count(model[-1])
    display = ExplanationDisplay.from_pipeline(model, "a fine day", target="good")
    assert tick_labels(display.axes_[2]) == ["network", "linear", "bias", "logit"]
    sources = {label.rsplit(" ", 1)[1] for label in tick_labels(display.axes_[1])}
    assert sources == {"(network)", "(linear)"}


def test_other_ngrams_are_summed_up():
    explanation = explanation_of(["a", "b", "c"], [3.0, -1.0, 0.5])
    display = ExplanationDisplay(explanation).plot(n_ngrams=1)
    assert widths(display.bars_) == [3]
    assert display.axes_[1].get_xlabel() == f"adds to the logit; 2 others: {MINUS}0.50"
    display = ExplanationDisplay(explanation).plot(n_ngrams=3)
    assert display.axes_[1].get_xlabel() == "adds to the logit"


def test_long_documents_are_wrapped():
    tokens = [f"word{i}" for i in range(300)]
    display = ExplanationDisplay(explanation_of(tokens, [0.1] * 300)).plot()
    assert words(display) == tokens
    ax = display.axes_[0]
    rows = {text.get_position()[1] for text in display.texts_}
    assert 10 < len(rows) < 40
    inside = ax.get_window_extent().padded(3)
    for text in display.texts_:
        box = text.get_window_extent()
        assert inside.x0 <= box.x0
        assert box.x1 <= inside.x1
        assert inside.y0 <= box.y0
        assert box.y1 <= inside.y1


def test_words_do_not_touch():
    tokens = ["illimitable", "minimizing", "the", "will", "WAVE", "i", "a"] * 5
    display = ExplanationDisplay(explanation_of(tokens, [0.1] * 35)).plot()
    for dpi in (72, 150):
        display.figure_.set_dpi(dpi)
        display.figure_.draw_without_rendering()
        for one, after in zip(display.texts_, display.texts_[1:], strict=False):
            if one.get_position()[1] == after.get_position()[1]:
                assert one.get_window_extent().x1 < after.get_window_extent().x0


def test_where_there_is_little_room_letters_get_smaller_and_end_in_an_ellipsis():
    tokens = [f"word{i}" for i in range(600)]
    explanation = explanation_of(tokens, [0.1] * 600)
    _, axes = plt.subplots(3, 1, figsize=(4, 4))
    display = ExplanationDisplay(explanation).plot(axes)
    assert list(display.axes_) == list(axes)
    assert display.texts_[0].get_fontsize() == 5
    shown = words(display)
    assert shown[-1] == "…"
    assert shown[:-1] == tokens[: len(shown) - 1]


def test_explanation_in_a_subfigure(tmp_path):
    figure = plt.figure(layout="constrained")
    left, right = figure.subfigures(1, 2)
    display = ExplanationDisplay(explanation_of(["a", "fine"], [0.1, 1.0])).plot(right.subplots())
    assert display.figure_ is right
    assert left.axes == []
    assert words(display) == ["a", "fine"]
    savefig(figure, tmp_path)


def test_a_document_that_was_cut():
    vectorizer = TextVectorizerTransformer(max_length=3)
    model = make_pipeline(vectorizer, NgramLinearClassifier(random_state=0))
    with pytest.warns(UserWarning, match="max_length=3 cuts"):
        model.fit(TEXTS, LABELS)
    display = ExplanationDisplay.from_pipeline(model, "a fine film and much more")
    assert "; 3 tokens were not read" in display.axes_[0].get_title("left")
    faint = [text.get_text() for text in display.texts_ if text.get_alpha()]
    assert faint == ["and", "much", "more"]


def test_an_explanation_of_ids(pipe):
    (explanation,) = pipe[-1].explain(np.asarray(pipe[:-1].transform(["a fine Kubrick"])))
    assert words(ExplanationDisplay(explanation).plot()) == ["a", "fine", "[UNK]"]


def test_an_empty_document(pipe, tmp_path):
    display = ExplanationDisplay.from_pipeline(pipe, "")
    assert words(display) == []
    assert widths(display.bars_) == []
    savefig(display.figure_, tmp_path)


def test_explanations_refuse(pipe):
    with pytest.raises(TypeError, match="must be an Explanation, got list: pass one of the list"):
        ExplanationDisplay.from_explanation(explain_pipeline(pipe, ["a"]))
    with pytest.raises(TypeError, match="text must be one document, a string; got list"):
        ExplanationDisplay.from_pipeline(pipe, ["a"])


# --- any text


def test_dollar_signs_are_no_formulas(tmp_path):
    display = TopNgramsDisplay({"$x$": [("$\\frac$ for 5$", 1.0)]}).plot()
    savefig(display.figure_, tmp_path)
    assert "$\\frac$ for 5$" in (tmp_path / "figure.svg").read_text()
    savefig(
        ExplanationDisplay(explanation_of(["$", "_{", "$"], [1, 1, 1])).plot().figure_, tmp_path
    )


def test_long_ngrams_are_shortened():
    text = "it is not often that one sees such a film"
    display = TopNgramsDisplay({"a": [(text, 1.0)]}).plot(max_characters=24)
    assert tick_labels(display.axes_[0]) == ["it is not … a film"]


@pytest.mark.parametrize(
    ("text", "n", "expected"),
    [
        ("a b", 3, "a b"),
        ("a  b\n c", 9, "a b c"),
        ("abcdefghij", 7, "abcd…ij"),
        ("not a very good old film", 16, "not a … film"),
    ],
)
def test_shortened(text, n, expected):
    assert shortened(text, n) == expected
    assert len(expected) <= n


def test_right_to_left_documents_begin_on_the_right():
    tokens = HEBREW.split()
    display = ExplanationDisplay(explanation_of(tokens, [1.0, 0.0, -1.0, 0.0])).plot()
    xs = [text.get_position()[0] for text in display.texts_]
    assert xs == sorted(xs, reverse=True)
    ends = display.texts_[0].get_window_extent().x1, display.axes_[0].get_window_extent().x1
    assert ends[0] == pytest.approx(ends[1], abs=4)
    assert sorted(x for x, *_ in colored(display)) == [xs[2], xs[0]]


def test_left_to_right_words_keep_their_order_in_a_right_to_left_document(monkeypatch):
    monkeypatch.setattr(_writing, "_draws_right_to_left", lambda: True)
    tokens = ["סרט", "(", "a", "film", ")", "טוב"]
    display = ExplanationDisplay(explanation_of(tokens, [1.0] * 6)).plot()
    from_left = sorted(display.texts_, key=lambda text: text.get_position()[0])
    assert [text.get_text() for text in from_left] == [tokens[i] for i in (5, 1, 2, 3, 4, 0)]


@pytest.mark.parametrize(
    ("directions", "base", "expected"),
    [
        ("LLL", "L", [0, 1, 2]),
        ("RRR", "R", [2, 1, 0]),
        ("LRRL", "L", [0, 2, 1, 3]),
        ("RLLR", "R", [3, 1, 2, 0]),
        ("R11R", "R", [3, 1, 2, 0]),
        ("LR1", "L", [0, 2, 1]),  # a number goes with the letters before it
        ("L11", "L", [0, 1, 2]),
        ("R L", "R", [2, 1, 0]),
        ("R R L", "L", [2, 1, 0, 3, 4]),
        ("", "L", []),
    ],
)
def test_visual_order(directions, base, expected):
    directions = [one.strip() for one in directions]
    assert visual_order(directions, base)[0] == expected


def test_letters_as_they_are_seen():
    assert as_seen("plain (text) 12") == "plain (text) 12"
    assert as_seen("שלום (12)") == "(12) םולש"
    assert as_seen("abc שלום") == "abc םולש"
    # a mark stays behind its letter
    assert as_seen("שָׁב") == "ב" + "שָׁ"
    seen = as_seen("فيلم")
    names = [unicodedata.name(letter) for letter in seen]
    assert [name.rsplit(" ", 2)[1] for name in names] == ["FINAL", "MEDIAL", "MEDIAL", "INITIAL"]
    # what does not reach out to the next letter
    assert unicodedata.name(as_seen("دار")[0]).endswith("ISOLATED FORM")


@pytest.mark.parametrize(
    ("text", "expected"), [(HEBREW, "R"), ("12 film סרט", "L"), ("12 !", "L"), ("(فيلم film", "R")]
)
def test_base_direction(text, expected):
    assert base_direction(text) == expected


@pytest.mark.parametrize("draws", [True, False])
def test_matplotlib_orders_letters_or_we_do(draws, monkeypatch):
    monkeypatch.setattr(_writing, "_draws_right_to_left", lambda: draws)
    assert Writer(["שלום"])("שלום") == ("שלום" if draws else "םולש")


def test_fonts_are_found_that_have_the_letters():
    fonts = matplotlib.font_manager.fontManager
    of_sans = _writing._letters(fonts.findfont("DejaVu Sans"))
    symbols = sorted(_writing._letters(fonts.findfont("STIXGeneral")) - of_sans)
    assert symbols
    families = Writer([symbols[0]]).style["fontfamily"]
    assert families[: len(matplotlib.rcParams["font.family"])] == matplotlib.rcParams["font.family"]
    assert len(families) == len(matplotlib.rcParams["font.family"]) + 1
    assert Writer(["plain, é and סרט"]).style["fontfamily"] == matplotlib.rcParams["font.family"]


def test_letters_that_no_font_has_are_told_once(tmp_path, monkeypatch):
    monkeypatch.setattr(_writing, "_letters", lambda path: frozenset("□"))
    nowhere = "\U0001e900\U0001e901"  # letters of Adlam
    with pytest.warns(UserWarning, match="No installed font has 2 of the characters") as caught:
        display = TopNgramsDisplay({"a": [(f"x {nowhere}", 1.0), (nowhere, 0.5)]}).plot()
    assert len(caught) == 1
    assert tick_labels(display.axes_[0]) == ["x □□", "□□"]
    savefig(display.figure_, tmp_path)


def test_what_cannot_be_drawn_is_left_out():
    write = Writer(["a\nb\x00c\ud800d"])
    assert write("a\nb\x00c\ud800d") == "a bcd"


# --- without matplotlib


def test_without_matplotlib_the_error_says_how_to_get_it():
    code = """
from sklearn_textcnn.inspection import (
    ExplanationDisplay, TopNgramsDisplay, TrainingHistoryDisplay,
)
calls = [
    lambda: TrainingHistoryDisplay({"loss": [1.0]}).plot(),
    lambda: TrainingHistoryDisplay.from_estimator(None),
    lambda: TopNgramsDisplay.from_estimator(None, []),
    lambda: TopNgramsDisplay({"a": [("b", 1.0)]}).plot(),
    lambda: ExplanationDisplay.from_pipeline(None, "a"),
    lambda: ExplanationDisplay(None).plot(),
]
for call in calls:
    try:
        call()
    except ImportError as error:
        assert 'pip install "sklearn_textcnn[plot]"' in str(error), error
    else:
        raise AssertionError("no error")
print("done")
"""
    run = run_python(code, hidden=("matplotlib",))
    assert (run.stdout, run.stderr) == ("done\n", "")
