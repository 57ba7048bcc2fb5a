import signal

from hypothesis import settings

settings.register_profile("tectum", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("tectum")

# A suite that was started in the background has been told to ignore Ctrl-C, and so would all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
