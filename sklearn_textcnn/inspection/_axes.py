"""What the displays share: matplotlib itself, and axes to draw on."""

import numpy as np

from sklearn_textcnn.inspection._html import AGAINST, FOR


def import_pyplot():
    """matplotlib.pyplot, or an error that says how to get it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            'Displays need matplotlib, which is not installed: pip install "sklearn_textcnn[plot]"'
        ) from error
    return plt


def rgb(color):
    """A color of `_html` as matplotlib takes it."""
    return tuple(int(part) / 255 for part in color.split(","))


def axes_for(ax, n, n_columns, size, **grid):
    """Axes for `n` pictures.

    Parameters
    ----------
    ax : None, matplotlib Axes, or array-like of n Axes
        None: in a new figure. One: in its place, unless there is but one picture.
    n, n_columns : int
    size : tuple of float
        Width and height of a new figure, in inches.
    **grid : dict
        For ``GridSpec``, and "sharex".

    Returns
    -------
    figure : matplotlib Figure
    axes : ndarray of shape (n,)
    """
    plt = import_pyplot()
    sharex = grid.pop("sharex", False)
    if ax is not None and not hasattr(ax, "plot"):
        axes = np.asarray(ax, dtype=object).ravel()
        if len(axes) != n:
            raise ValueError(
                f"ax must be one matplotlib Axes or {n} of them, one for each picture; "
                f"got {len(axes)}."
            )
        return axes[0].figure, axes
    if ax is not None and n == 1:
        return ax.figure, np.array([ax], dtype=object)
    n_rows = -(-n // n_columns)
    if ax is None:
        figure = plt.figure(figsize=size, layout="constrained")
        spec = figure.add_gridspec(n_rows, n_columns, **grid)
    else:
        figure, place = ax.figure, ax.get_subplotspec()
        if place is None:
            raise ValueError(
                f"{n} pictures are drawn in the place of ax, which must be one of a grid, as from "
                f"plt.subplots. Or pass {n} Axes as a list."
            )
        spec = place.subgridspec(n_rows, n_columns, **grid)
        ax.set_axis_off()
    axes = np.empty(n, dtype=object)
    for i in range(n):
        shared = axes[0] if sharex and i else None
        axes[i] = figure.add_subplot(spec[i // n_columns, i % n_columns], sharex=shared)
    return figure, axes


def signed_bars(ax, labels, values, writer, **bar):
    """Horizontal bars with the first on top, in the color of their sign.

    Returns
    -------
    matplotlib BarContainer
    """
    places = np.arange(len(values))
    colors = [rgb(AGAINST if value < 0 else FOR) for value in values]
    styles = ["--" if value < 0 else "-" for value in values]
    bars = ax.barh(
        places,
        values,
        **{"color": [(*color, 0.75) for color in colors], "edgecolor": colors} | bar,
    )
    for patch, style in zip(bars, styles, strict=True):
        patch.set_linestyle(style)
    ax.set_yticks(places, labels=list(map(writer, labels)), **writer.style)
    ax.tick_params(axis="y", length=0)
    ax.axvline(0, color="0.5", linewidth=0.8)
    ax.set_ylim(len(values) - 0.4, -0.6)
    ax.spines[["top", "right", "left"]].set_visible(False)
    return bars
