"""Expert models that need neither a hub nor a network: their weights come in packages. One file a model.

Parameters were chosen on pictures that no task uses (scikit-learn's china and flower, matplotlib's grace_hopper,
scikit-image's grass, hubble_deep_field, ihc, page and retina), so that each model helps and that the order of the
reference plans helps most.
"""
