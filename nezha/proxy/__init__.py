"""The cache port: from accept to the last byte."""
