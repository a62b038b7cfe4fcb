"""Studies: one question per file, each with its run, its figure and its verdict.

``python -m gradsim.studies`` lists them; a module with a ``main(arguments)`` in this folder is one.
"""
