"""The files themselves: out of a store (`export gcs`) and into one (`import gcs`)."""
