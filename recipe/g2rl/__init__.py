"""G2RL on verl: what stands here rides on verl's own classes; the rooms below hold everything else.

No `__init__.py` lies in `recipe/` itself, so that this package also works beside verl's own `recipe` folder.
"""
