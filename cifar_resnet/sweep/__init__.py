"""Starts runs, one process each, under Hydra; never imports training.

Importing this room registers the schema and the resolvers that conf/ uses, also in joblib's processes.
"""

from cifar_resnet.sweep.resolvers import register

register()
