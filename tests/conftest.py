from hypothesis import settings

settings.register_profile("tectum", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("tectum")
