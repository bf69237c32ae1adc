"""The services of the platform, one module each, named like the section of config.yaml that they stand for."""
