import os

# Before anything imports verl, which asks for its platform once: the tests run without a GPU.
os.environ.setdefault("VERL_PLATFORM", "cpu")
