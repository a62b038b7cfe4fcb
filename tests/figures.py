"""What the tests of figures read off them."""


def texts(ax):
    """Words of a legend, if there is one."""
    legend = ax.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]
