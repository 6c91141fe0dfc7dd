"""The figures of the paper and of the library, each from one command; results are beside them."""
