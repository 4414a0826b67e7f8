"""Encoders that read documents: what each makes of every token.

A reader has `prepare`, which takes the distinct tokens of a corpus and returns the size of each;
`window`, the largest sum of sizes that it reads at a time, None for any; and `read`.
"""

import os
import sys
from collections.abc import Iterable
from contextlib import contextmanager
from itertools import chain
from numbers import Integral

import numpy as np

# Some models read thousands of word pieces at a time, at a cost that grows with their square. What
# surrounds a word in this many is context enough.
_LONGEST_WINDOW = 512
_EXTRA = 'pip install "sklearn-textcnn[encoder]"'


def reader_for(encoder, layer, window):
    """The reader for anything that `WordVectors.from_context` takes as `encoder`."""
    if isinstance(encoder, str | os.PathLike):
        encoder = _load(os.fspath(encoder))
    if isinstance(encoder, tuple) or _is_module(encoder):
        return TransformerReader(*_model_and_tokenizer(encoder), layer, window)
    if not callable(encoder):
        raise ValueError(
            "encoder must be a SentenceTransformer, its name, a pair of a transformers model and "
            "its tokenizer, or a function from a list of token lists to a list of arrays, got "
            f"{type(encoder).__name__}."
        )
    if layer is not None:
        raise ValueError(
            f"layer goes with a transformers model, got layer={layer!r} for a function. Leave it "
            "out, and let the function return the states of that layer."
        )
    return FunctionReader(encoder, window)


class FunctionReader:
    """A function from a list of token lists to a list of arrays."""

    def __init__(self, encode, window):
        self.window = window
        self._encode, self._tokens, self._width = encode, None, None

    def prepare(self, tokens):
        self._tokens = tokens
        return np.ones(len(tokens), dtype=np.intp)

    def read(self, windows):
        """States of all tokens of the windows, of shape (n_running_tokens, n_dimensions)."""
        documents = [[self._tokens[i] for i in ids] for ids in windows]
        encoded = self._encode(documents)
        if not isinstance(encoded, Iterable):
            raise ValueError(f"encoder must return a list of arrays, got {type(encoded).__name__}.")
        encoded = list(encoded)
        if len(encoded) != len(documents):
            raise ValueError(
                f"encoder must return an array for each of the {len(documents)} documents, got "
                f"{len(encoded)}."
            )
        return np.concatenate(list(map(self._checked, encoded, map(len, documents))))

    def _checked(self, states, n_tokens):
        try:
            states = np.asarray(states, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"encoder must return arrays of numbers, got {type(states).__name__} ({error})."
            ) from None
        width = self._width or "n_dimensions"
        right = states.ndim == 2 and states.size and len(states) == n_tokens
        if not right or states.shape[1] != (self._width or states.shape[1]):
            raise ValueError(
                f"encoder must return shape ({n_tokens}, {width}) for a document of {n_tokens} "
                f"tokens, got shape {states.shape}. If it cuts long documents, set window to the "
                "number of tokens that it reads."
            )
        self._width = states.shape[1]
        return states


class TransformerReader:
    """A layer of a transformers model.

    The tokens of a document are given to the model as they are, each split into word pieces for
    itself, as a tokenizer does with words between spaces. So every analyzer will do, and there is
    nothing to align. A token is the mean of its word pieces.
    """

    def __init__(self, model, tokenizer, layer, window):
        # Of an encoder and a decoder only the first reads.
        self._model = model.get_encoder() if model.config.is_encoder_decoder else model
        self._tokenizer = tokenizer
        n_layers = model.config.num_hidden_layers
        self._layer = _checked_layer(layer, n_layers)
        self._stop = _layer_after(self._model, self._layer, n_layers)
        self._before, self._after = _special_pieces(tokenizer)
        self.window = self._checked_window(window)

    def prepare(self, tokens):
        # A space in front: in many tokenizers a word piece at the start of a word has it.
        texts = [f" {_encodable(token)}" for token in tokens]
        pieces = self._tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        # A token that nothing is left of, say an invisible character, is read as an unknown one.
        unknown = [_unknown_piece(self._tokenizer)]
        self._pieces = [(some or unknown)[: self.window] for some in pieces]
        self._sizes = np.array(list(map(len, self._pieces)), dtype=np.intp)
        return self._sizes

    def read(self, windows):
        """States of all tokens of the windows, of shape (n_running_tokens, n_dimensions)."""
        rows = [list(chain.from_iterable(map(self._pieces.__getitem__, ids))) for ids in windows]
        n_before, n_after = len(self._before), len(self._after)
        shape = len(rows), n_before + max(map(len, rows)) + n_after
        pieces = np.full(shape, self._tokenizer.pad_token_id or 0, dtype=np.int64)
        mask, inside = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=bool)
        for i, row in enumerate(rows):
            end = n_before + len(row)
            pieces[i, : end + n_after] = [*self._before, *row, *self._after]
            mask[i, : end + n_after] = 1
            inside[i, n_before:end] = True
        states = self._states(pieces, mask)[inside]  # (n_pieces, n_dimensions)
        sizes = self._sizes[np.concatenate(windows)]  # (n_running_tokens,)
        first = np.cumsum(sizes) - sizes
        return np.add.reduceat(states, first, axis=0) / sizes[:, np.newaxis].astype(np.float32)

    def _states(self, pieces, mask):
        import torch

        device = next(self._model.parameters()).device
        inputs = {
            "input_ids": torch.from_numpy(pieces).to(device),
            "attention_mask": torch.from_numpy(mask).to(device),
        }
        with _evaluating(self._model), torch.inference_mode():
            states = self._run(inputs)  # (n_windows, n_pieces, n_dimensions)
            return states.float().cpu().numpy()

    def _run(self, inputs):
        if self._stop is None:
            outputs = self._model(**inputs, output_hidden_states=True, return_dict=True)
            return outputs.hidden_states[self._layer]
        handle = self._stop.register_forward_pre_hook(_raise_reached, with_kwargs=True)
        try:
            self._model(**inputs)
        except _Reached as reached:
            return reached.states
        finally:
            handle.remove()

    def _checked_window(self, window):
        config = self._model.config
        most = [self._tokenizer.model_max_length or _LONGEST_WINDOW]
        if (getattr(config, "max_position_embeddings", None) or 0) > 2:
            most.append(config.max_position_embeddings - 2)  # RoBERTa's positions begin at 2
        most = int(min(most)) - len(self._before) - len(self._after)
        if window is None:
            return min(most, _LONGEST_WINDOW)
        if window > most:
            raise ValueError(
                f"window must not exceed the {most} word pieces that the encoder reads at a time, "
                f"got {window}. Leave it out."
            )
        return int(window)


class _Reached(Exception):
    """The layer has been reached whose states are wanted: no need to compute the later ones."""

    def __init__(self, states):
        self.states = states


def _raise_reached(module, args, kwargs):
    raise _Reached(args[0] if args else kwargs["hidden_states"])


def _layer_after(model, layer, n_layers):
    """The module that reads the states of a layer; None where it takes the whole model to tell."""
    from torch.nn import ModuleList

    found = [m for m in model.modules() if isinstance(m, ModuleList) and len(m) == n_layers]
    return found[0][layer] if len(found) == 1 and layer < n_layers else None


@contextmanager
def _evaluating(model):
    """Without dropout, and afterwards each module in the mode that it was in."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _checked_layer(layer, n_layers):
    if layer is None:
        return -(-n_layers // 2)
    if not isinstance(layer, Integral) or isinstance(layer, bool) or not 0 <= layer <= n_layers:
        raise ValueError(
            f"layer must be a whole number from 0, the embeddings, to {n_layers}, the last layer "
            f"of the encoder, or None, got {layer!r}."
        )
    return int(layer)


def _special_pieces(tokenizer):
    """What a tokenizer puts in front of a text and behind it."""
    whole = tokenizer(" a")["input_ids"]
    bare = tokenizer(" a", add_special_tokens=False)["input_ids"]
    start = next(i for i in range(len(whole)) if whole[i : i + len(bare)] == bare)
    return whole[:start], whole[start + len(bare) :]


def _unknown_piece(tokenizer):
    names = ("unk_token_id", "mask_token_id", "eos_token_id", "pad_token_id")
    known = (getattr(tokenizer, name, None) for name in names)
    return next((piece for piece in known if piece is not None), 0)


def _encodable(token):
    """Without lone surrogates, which tokenizers refuse."""
    return token.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _is_module(value):
    torch = sys.modules.get("torch")  # whoever has a model has imported it
    return torch is not None and isinstance(value, torch.nn.Module)


def _model_and_tokenizer(encoder):
    if isinstance(encoder, tuple):
        if len(encoder) == 2 and hasattr(encoder[0], "config") and callable(encoder[1]):
            return encoder
        got = ", ".join(type(part).__name__ for part in encoder)
        raise ValueError(
            f"encoder must be a pair of a transformers model and its tokenizer, got ({got})."
        )
    first = next(encoder.children(), None)
    model = getattr(first, "auto_model", None)
    if hasattr(encoder, "encode") and _is_module(model):
        return model, encoder.tokenizer
    raise ValueError(
        "encoder must be a SentenceTransformer around a transformers model, or a pair of a "
        f"transformers model and its tokenizer, got {type(encoder).__name__} alone. Pass "
        "(model, tokenizer)."
    )


def _load(name):
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ImportError(
            f"encoder={name!r} needs sentence-transformers. Install it with: {_EXTRA}."
        ) from error
    return SentenceTransformer(name)
