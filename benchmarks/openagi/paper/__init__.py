"""The 15 published modules on the models published with them, from the hub or from the user. One file a model.

Nothing here reaches the network: `autoflow openagi fetch` does. Each file says what it corrects of the published code.
"""
