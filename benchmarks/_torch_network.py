"""The network of the benchmarks in PyTorch."""

import torch
from _networks import NETWORK
from torch import nn


class TorchNetwork(nn.Module):
    """The network; its outputs are logits, (n,) if there is one output, else (n, n_outputs)."""

    def __init__(self, n_ids, sparse, n_outputs=1):
        super().__init__()
        dim, sizes, filters = (
            NETWORK[name] for name in ("embedding_dim", "kernel_sizes", "filters")
        )
        self.embedding = nn.Embedding(n_ids, dim, sparse=sparse)
        # as Keras does: PyTorch's own start is 20 times as wide and a different experiment
        nn.init.uniform_(self.embedding.weight, -0.05, 0.05)
        self.convolutions = nn.ModuleList(nn.Conv1d(dim, filters, k) for k in sizes)
        self.dropout = nn.Dropout(NETWORK["dropout"])
        self.output = nn.Linear(len(sizes) * filters, n_outputs)

    def forward(self, ids):
        embedded = self.embedding(ids).transpose(1, 2)  # (n, dim, T)
        pooled = [torch.relu(c(embedded)).amax(dim=2) for c in self.convolutions]
        logits = self.output(self.dropout(torch.cat(pooled, dim=1)))  # (n, n_outputs)
        return logits[:, 0] if logits.shape[1] == 1 else logits
