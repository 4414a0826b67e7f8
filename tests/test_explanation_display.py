"""What a person sees of an explanation: places in the text, HTML, text, table."""

import copy
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from classifiers import both_count, run_python, small
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_textcnn import NgramLinearClassifier, TextVectorizerTransformer
from sklearn_textcnn.inspection import Explanation, NGram, explain_pipeline

TEXTS = ["a fine film", "what a fine day", "a dull film", "such a dull day"] * 10
LABELS = ["good", "good", "bad", "bad"] * 10
MINUS = "\N{MINUS SIGN}"
VOID = {"br", "hr", "img", "input", "link", "meta"}


def fitted(texts=TEXTS, labels=LABELS, **parameters):
    return make_pipeline(
        TextVectorizerTransformer(**parameters), NgramLinearClassifier(random_state=0)
    ).fit(texts, labels)


def written(explanation):
    """What stands at the places of the tokens in the text."""
    return [explanation.text[start:stop] for start, stop in explanation.offsets]


def explain_one(text, **parameters):
    (found,) = explain_pipeline(fitted(**parameters), [text])
    total = found.bias + sum(ngram.contribution for ngram in found.ngrams)
    assert total == pytest.approx(found.logit, abs=1e-4)
    return found


class Page(HTMLParser):
    """Checks that tags are closed in order, and collects what a browser would do with them."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.text, self.in_style = [], [], [], "", ""
        self.colored = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        tag, attributes = self.open[-1]
        if tag == "style":
            self.in_style += data
            return
        self.text += data
        if "title" in attributes:
            self.colored.append((data, attributes["title"], attributes["style"]))

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data}")


def page_of(explanation):
    page = Page(explanation._repr_html_())
    assert set(page.tags) <= set("div style span b bdi table caption tbody tr th td".split())
    names = {name for name, _ in page.attributes}
    assert names <= {"class", "style", "title", "dir", "scope", "colspan"}
    assert not [value for _, value in page.attributes if "url" in value or "expression" in value]
    return page


# --- places in the text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A FINE Werckmeister film!", ["A", "FINE", "Werckmeister", "film", "!"]),
        ("  a\tfine\n\nfilm ", ["a", "fine", "film"]),
        ("İstanbul is fine", ["İstanbul", "is", "fine"]),  # "İ" becomes two small letters
        ("ΟΔΟΣ fine ΟΔΟΣ", ["ΟΔΟΣ", "fine", "ΟΔΟΣ"]),  # a final sigma
        ("fine 🎬🎬 film", ["fine", "🎬", "🎬", "film"]),
        ("naïve café fine", ["naïve", "café", "fine"]),
        ("isn't it fine...", ["isn", "'", "t", "it", "fine", ".", ".", "."]),
        ("فيلم fine جدا", ["فيلم", "fine", "جدا"]),
        ("", []),
        ("   ", []),
    ],
)
def test_tokens_are_shown_as_they_are_written(text, expected):
    found = explain_one(text)
    assert found.text == text
    assert written(found) == found.tokens
    assert found.tokens == expected
    starts = [start for start, _ in found.offsets]
    assert starts == sorted(starts)


def test_a_letter_that_becomes_two_tokens_is_shown_once():
    found = explain_one("a İstanbul fine", token_pattern=r"\w+|[^\w\s]")
    assert found.offsets == [(0, 1), (2, 3), (3, 3), (3, 10), (11, 15)]
    assert found.tokens == ["a", "İ", "\u0307", "stanbul", "fine"]
    assert "a İstanbul fine" in page_of(found).text


def test_soft_hyphens_stay_in_the_text():
    found = explain_one("a fi\u00adne film")
    assert found.tokens == written(found) == ["a", "fi\u00adne", "film"]
    assert "fi\u00adne" in {n.text for n in found.ngrams}


def test_accents_are_stripped_for_the_model_only():
    plain = ["café fine", "cafe\u0301 fine"]
    for strip_accents in ("unicode", "ascii"):
        pipe = fitted(["cafe fine", "dull day"] * 10, ["good", "bad"] * 10)
        pipe[0].set_params(strip_accents=strip_accents)
        for text in plain:
            (found,) = explain_pipeline(pipe, [text])
            assert found.tokens == text.split()
            assert written(found) == text.split()


def test_decomposed_letters_and_ligatures_with_accents_stripped():
    found = explain_one("ﬁne … film ½", strip_accents="unicode")
    assert found.tokens[0] == "ﬁne"  # in the model three letters and one
    assert "film" in written(found)
    ends = [0, *(stop for _, stop in found.offsets)]
    assert all(stop >= start for start, stop in found.offsets)
    assert ends == sorted(ends)


def test_letters_that_are_lost_leave_the_others_where_they_are():
    found = explain_one("日本 fine Straße film", strip_accents="ascii")
    assert found.tokens == ["fine", "Straße", "film"]
    assert written(found) == found.tokens


def test_stop_words_are_no_tokens():
    texts = ["this is a fine film", "that was a dull day"] * 10
    pipe = fitted(texts, ["good", "bad"] * 10, stop_words=["a", "this", "is"])
    (found,) = explain_pipeline(pipe, ["Is this a fine, fine analysis?"])
    assert written(found) == ["fine", ",", "fine", "analysis", "?"]
    assert {n.text for n in found.ngrams} <= {"fine", "fine,", ", fine", "fine analysis"}


@pytest.mark.filterwarnings("ignore:max_length=3 cuts")
@pytest.mark.parametrize("keep", ["head", "tail"])
def test_what_max_length_cuts_is_shown_faint(keep):
    found = explain_one("one two Three four fine film", max_length=3, keep=keep)
    expected = ["one", "two", "Three"] if keep == "head" else ["four", "fine", "film"]
    assert found.tokens == written(found) == expected
    assert (found.n_cut, found.cut_at_start) == (3, keep == "tail")
    html = found._repr_html_()
    faint = re.findall(r'<span class="sktc-cut">(.*?)</span>', html)
    assert faint == ([" four fine film"] if keep == "head" else ["one two Three "])
    assert "3 tokens beyond max_length did not count" in html
    assert "3 tokens beyond max_length were not read" in str(found)
    assert "one two Three four fine film" in page_of(found).text


def test_patterns_with_a_group():
    found = explain_one("FINE <film> fine", token_pattern=r"<?(\w+)>?")
    assert found.offsets == [(0, 4), (6, 10), (12, 16)]


def test_characters():
    found = explain_one("Fine   day", analyzer="char")
    assert written(found) == ["F", "i", "n", "e", "   ", "d", "a", "y"]
    words = explain_one("Fine  day", analyzer="char_wb")
    assert words.tokens == [" ", "F", "i", "n", "e", " ", " ", "d", "a", "y", " "]
    assert "".join(written(words)) == "Fineday"
    assert page_of(words).text.count("Fine  day") == 1


def test_hashed_tokens_have_their_place_in_the_text():
    found = explain_one("A FINE Werckmeister film!", hash_buckets=2**10)
    assert found.tokens == written(found) == ["A", "FINE", "Werckmeister", "film", "!"]


def test_bytes_and_columns_of_texts():
    pipe = fitted()
    (found,) = explain_pipeline(pipe, ["naïve fine".encode()])
    assert found.text == "naïve fine"
    column = np.array([["a fine film"], ["dull"]], dtype=object)
    assert [e.text for e in explain_pipeline(pipe, column)] == ["a fine film", "dull"]
    assert [e.target for e in explain_pipeline(pipe, iter(["fine", "dull"]))] == ["good", "bad"]
    with pytest.raises(ValueError, match=r"Put it into a list"):
        explain_pipeline(pipe, "a fine film")


def test_tokenizers_of_ones_own():
    found = explain_one("A  fine, FINE film", tokenizer=re.compile(r"\w+|,").findall)
    assert written(found) == ["A", "fine", ",", "FINE", "film"]
    found = explain_one("A fine FILM", analyzer=str.split)
    assert written(found) == ["A", "fine", "FILM"]
    found = explain_one("playing FINE", tokenizer=lambda text: re.findall(r"play|ing|\w+", text))
    assert written(found) == ["play", "ing", "FINE"]


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        # lemmas are written nowhere; "be" is no part of "because"
        ("because it is fine", {"tokenizer": lambda text: ["be", "fine"]}),
        ("fine, not fine at all", {"tokenizer": lambda text: ["fine", "all"]}),
        ("fine film", {"tokenizer": lambda text: text.split()[::-1]}),
        ("fine film", {"preprocessor": lambda text: text[::-1]}),
        ("fine film", {"preprocessor": lambda text: "something else"}),
        ("running fine", {"tokenizer": lambda text: ["run", "fine"]}),
    ],
)
def test_where_places_are_not_certain_tokens_stand_alone(text, parameters):
    found = explain_one(text, **parameters)
    assert found.text is None
    assert found.offsets is None
    assert found.tokens == list(TextVectorizerTransformer(**parameters).build_analyzer()(text))
    assert " ".join(found.tokens) in page_of(found).text


def test_words_left_out_do_not_matter_where_there_is_one_way():
    found = explain_one("nothing FINE in there", tokenizer=lambda text: ["fine", "there"])
    assert found.offsets == [(8, 12), (16, 21)]


def test_preprocessors_that_remove_something():
    parameters = {"preprocessor": lambda text: re.sub("<[^>]*>", " ", text).lower()}
    found = explain_one("A <br>FINE</br> film", **parameters)
    assert written(found) == ["A", "FINE", "film"]


def test_documents_that_are_lists_of_tokens():
    pipe = make_pipeline(
        TextVectorizerTransformer(analyzer=lambda document: document),
        NgramLinearClassifier(random_state=0),
    ).fit([text.split() for text in TEXTS], LABELS)
    (found,) = explain_pipeline(pipe, [["a", "fine", "<new>", "film"]])
    assert found.text is None
    assert found.tokens == ["a", "fine", "<new>", "film"]
    assert found.ngrams[0].text == "fine"
    assert "a fine <new> film" in page_of(found).text


def test_ngrams_are_written_as_in_the_text():
    found = explain_one("what a fine-film day", hash_buckets=2**10)
    assert {"fine", "day", "a fine"} <= {n.text for n in found.ngrams}
    spans = {(n.start, n.stop): n.text for n in explain_one("a fine film!").ngrams}
    assert spans[1, 3] == "fine film"
    network = make_pipeline(TextVectorizerTransformer(), small(kernel_sizes=4)).fit(TEXTS, LABELS)
    both_count(network[-1])
    (found,) = explain_pipeline(network, ["It  isn't\nFINE,film"])
    assert "It isn't" in {n.text for n in found.ngrams}
    assert {n.text for n in found.ngrams if n.start == 3} <= {"t FINE,film", "t"}


# --- pipelines


def test_steps_that_leave_ids_alone():
    steps = [
        ("upper", FunctionTransformer(lambda texts: [text.upper() for text in texts])),
        ("ids", TextVectorizerTransformer()),
        ("nothing", "passthrough"),
        ("same", FunctionTransformer()),
        ("classifier", NgramLinearClassifier(random_state=0)),
    ]
    pipe = Pipeline(steps).fit(TEXTS, LABELS)
    (found,) = explain_pipeline(pipe, ["a fine film"], "bad")
    assert (found.text, found.target) == ("A FINE FILM", "bad")
    assert found.logit == pytest.approx(-pipe.decision_function(["a fine film"])[0])


def test_steps_that_change_ids_are_refused():
    pipe = make_pipeline(
        TextVectorizerTransformer(),
        FunctionTransformer(lambda ids: ids[:, ::-1]),
        NgramLinearClassifier(),
    ).fit(TEXTS, LABELS)
    with pytest.raises(ValueError, match="'functiontransformer' changes them"):
        explain_pipeline(pipe, ["a fine film"])


def test_frames_between_the_steps():
    pytest.importorskip("pandas")
    pipe = make_pipeline(
        TextVectorizerTransformer(max_length=8).set_output(transform="pandas"),
        NgramLinearClassifier(random_state=0),
    ).fit(TEXTS, LABELS)
    (found,) = explain_pipeline(pipe, ["A FINE Werckmeister film"])
    assert found.tokens == ["A", "FINE", "Werckmeister", "film"]
    assert found.ngrams[0].text == "FINE"


def test_what_is_no_such_pipeline_is_refused():
    with pytest.raises(TypeError, match=r"got GridSearchCV\. The best_estimator_"):
        explain_pipeline(GridSearchCV(fitted(), {}), ["a"])
    with pytest.raises(TypeError, match="got the steps NgramLinearClassifier"):
        explain_pipeline(make_pipeline(NgramLinearClassifier()), ["a"])
    no_classifier = make_pipeline(TextVectorizerTransformer(), FunctionTransformer())
    with pytest.raises(TypeError, match="FunctionTransformer"):
        explain_pipeline(no_classifier, ["a"])


# --- what is shown


HOSTILE = "<script>alert(1)</script> & \"fine\" 'film' </div><!-- <b> &lt; \0 \ud800 -->"


def test_nothing_in_a_document_becomes_markup():
    labels = ['<img src=x onerror="alert(1)">', "'\"&</div>"]
    pipe = fitted(labels=np.array(labels, dtype=object)[[0, 0, 1, 1] * 10])
    for target in labels:
        (found,) = explain_pipeline(pipe, [HOSTILE], target)
        html = found._repr_html_()
        html.encode("utf-8")
        page = page_of(found)
        assert HOSTILE.replace("\ud800", "?").replace("\0", "\ufffd") in page.text
        assert target in page.text
        found.text = None  # the same where there are tokens alone
        assert "< script > alert" in page_of(found).text


def test_vocabularies_of_markup():
    ids = TextVectorizerTransformer(analyzer=str.split).fit_transform(["<b> </td> & <i>"] * 4)
    model = NgramLinearClassifier().fit(ids, [0, 1] * 2)
    page = page_of(model.explain(ids[:1])[0])
    assert "<b> </td> & <i>" in page.text


def test_right_to_left_text():
    found = explain_one("قصة fine جدا")
    assert ("dir", "auto") in page_of(found).attributes
    assert "قصة fine جدا" in page_of(found).text


def hand_made(**changes):
    ngrams = [
        NGram(1, 3, "dull day", -2.0, "network"),
        NGram(0, 1, "fine", 1.5, "linear"),
        NGram(1, 2, "dull", -0.5, "linear"),
    ]
    fields = {
        "tokens": ["fine", "dull", "day"],
        "target": "good",
        "logit": -0.9,
        "bias": 0.1,
        "ngrams": ngrams,
        "token_weights": np.array([1.5, -1.5, -1.0]),
        "probabilities": {"bad": 0.75, "good": 0.25},
    }
    return Explanation(**fields | changes)


def test_colors_say_how_much_and_lines_say_the_sign():
    colored = page_of(hand_made()).colored
    assert [(token, title) for token, title, _ in colored] == [
        ("fine", "+1.500"),
        ("dull", f"{MINUS}1.500"),
        ("day", f"{MINUS}1.000"),
    ]
    fine, dull, day = (style for *_, style in colored)
    assert ("solid" in fine, "dashed" in dull, "dashed" in day) == (True, True, True)
    strengths = [
        float(re.search(r"background:rgba\([\d,]+,([\d.]+)\)", s)[1]) for s in (fine, dull, day)
    ]
    assert strengths[0] == strengths[1] > strengths[2]
    faint = hand_made(token_weights=np.array([1.5, 0.0, 1e-6]))
    assert [token for token, *_ in page_of(faint).colored] == ["fine"]


def test_tables_of_the_html():
    page = page_of(hand_made())
    assert f"network{MINUS}2.000linear+1.000bias+0.100logit{MINUS}0.900" in page.text
    assert "bad0.750good0.250" in page.text
    assert f"dull day{MINUS}2.000networkfine+1.500lineardull{MINUS}0.500linear" in page.text
    many = {f"class {i}": i / 1000 for i in range(40)}
    page = page_of(hand_made(probabilities=many, target="class 3"))
    assert "class 39" in page.text
    assert "class 30.003" in page.text  # the target is always there
    assert "and 33 others" in page.text


def test_many_ngrams_are_summed_up():
    ngrams = [NGram(i, i + 1, f"w{i}", 1 / (i + 1), "linear") for i in range(14)]
    tokens = [f"w{i}" for i in range(14)]
    found = hand_made(ngrams=ngrams, tokens=tokens, token_weights=np.ones(14))
    assert "4 others" in page_of(found).text
    assert len(str(found).splitlines()) == 12
    assert str(found).splitlines()[-1] == "  +0.323  4 other n-grams"
    assert repr(found).endswith("'w0' +1.00, 'w1' +0.50, 'w2' +0.33, ...>")


def test_text():
    assert str(hand_made()).splitlines() == [
        "'good', probability 0.25: logit -0.90 = -2.00 (network) +1.00 (linear) +0.10 (bias)",
        "  -2.000  network  'dull day'",
        "  +1.500  linear   'fine'",
        "  -0.500  linear   'dull'",
    ]
    assert repr(hand_made()) == (
        "<Explanation of 'good', logit -0.90: 'dull day' -2.00, 'fine' +1.50, 'dull' -0.50>"
    )


def test_documents_without_tokens():
    empty, blank = explain_pipeline(fitted(), ["", " \n"])
    for found in (empty, blank):
        assert found.ngrams == []
        assert found.logit == found.bias
        assert repr(found) == f"<Explanation of {found.target!r}, logit {found.logit:+.2f}>"
        page_of(found)
        assert len(str(found).splitlines()) == 1
    nothing = hand_made(tokens=[], ngrams=[], token_weights=np.zeros(0), bias=0.0, logit=0.0)
    page_of(nothing)


def test_frame():
    pytest.importorskip("pandas")
    frame = hand_made().to_frame()
    assert list(frame.columns) == ["text", "contribution", "source", "start", "stop"]
    assert frame["text"].tolist() == ["dull day", "fine", "dull"]
    assert frame["contribution"].sum() + frame.attrs["bias"] == frame.attrs["logit"]
    assert frame.attrs["target"] == "good"
    empty = hand_made(ngrams=[]).to_frame()
    assert (len(empty), list(empty.columns)) == (0, list(frame.columns))


def test_pandas_is_for_frames_only():
    run = run_python(
        """
        from sklearn_textcnn import NgramLinearClassifier
        model = NgramLinearClassifier().fit([[2, 3], [4, 5]] * 4, [0, 1] * 4)
        found = model.explain([[2, 3]])[0]
        str(found), repr(found), found._repr_html_(), model.top_ngrams([[2, 3]])
        assert not {"matplotlib", "tensorflow", "keras"} & set(sys.modules)
        try:
            found.to_frame()
        except ImportError as error:
            print(error)
        """,
        hidden=("pandas", "matplotlib", "tensorflow", "keras"),
    )
    assert run.stderr == ""
    assert "to_frame needs pandas" in run.stdout


@pytest.mark.filterwarnings("ignore:max_length=2 cuts")
def test_copies_of_explanations_of_texts():
    (found,) = explain_pipeline(fitted(max_length=2), ["A FINE film"])
    other = copy.deepcopy(found)
    assert (other.text, other.offsets, other.n_cut) == (found.text, found.offsets, 1)
    assert other._repr_html_() == found._repr_html_()
