"""The battery of the kinds other than transforms: common checks, subjects, faults."""
