"""The API over the same core: REST, DICOMweb, and pages for people."""
