"""Small files in the formats that people have, with exactly what is in them.

A case without ``error`` is read; ``rejected`` has the kind of rejection by line.
"""

import bz2
import gzip
import io
import lzma
import zipfile
from dataclasses import dataclass, field

from rdkit import Chem

SALT, MAPS = "several molecules", "atom maps"
ISOTOPE, RADICAL = "not writable: isotope", "not writable: unpaired electron"
NO, NO_SCORE, NO_CELL, FIELDS = (
    "not a molecule",
    "without a score",
    "without a molecule",
    "too many fields",
)
BENZENE, ACID = "c1ccccc1", "CC(=O)O"


@dataclass(frozen=True)
class Case:
    id: str
    file: str
    content: str | bytes
    smiles: list[str] = field(default_factory=list)
    scores: list[float] | None = None
    names: list[str] | None = None
    rejected: dict[int, str] = field(default_factory=dict)
    duplicates: tuple[int, ...] = ()
    error: str | None = None
    options: dict = field(default_factory=dict)

    @property
    def bytes(self) -> bytes:
        return self.content.encode() if isinstance(self.content, str) else self.content


def zipped(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), text)
    return buffer.getvalue()


def block(smiles: str, title: str = "", **properties: object) -> str:
    """A record of an SDF file."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles)) if smiles else Chem.Mol()
    mol.SetProp("_Name", title)
    text = Chem.MolToMolBlock(mol)
    for name, value in properties.items():
        text += f">  <{name}>\n{value}\n\n"
    return text + "$$$$\n"


SCORED = {"score_column": "score"}
LIST = "CCO ethanol\nCCN amine\n"
TABLE = "id,smiles,score\nA,CCO,1\nB,CCN,2\n"
SDF = block("CCO", "ethanol", pIC50=5.5, note="NO") + block("CCN", "amine", pIC50=6, note="CN")
FIVE = Chem.MolFromSmiles("CN(C)(C)(C)C", sanitize=False)
BAD_BLOCK = Chem.MolToMolBlock(FIVE, kekulize=False) + ">  <y>\n1\n\n$$$$\n"
PLATIN = "[NH2][Pt]([NH2])([Cl])[Cl]"
TWO = ["CCO", "CCN"]
ROMAN = "I\tCCCC\nII\tCCO\nIII\tc1ccccc1\n"
ALANINE = "smiles,score\nC[C@H](N)C(=O)O,5\nC[C@@H](N)C(=O)O,9\nCCO,1\n"
REPLICATES = "smiles,score\nCCO,1\nOCC,2\nC(C)O,6\nCCN,3\nCCN,3\n"
SALTS = (
    "smiles\n[Na+].CC(=O)[O-]\nC[NH3+].[Cl-]\n[CH3:1][OH:2]\n[13CH3]CO\n[Na]OC(=O)C\n"
    "C[N+](C)(C)CC(=O)[O-]\nO.CCO\n[Pt](Cl)(Cl)(N)N\n[CH3]\n"
)

NO_ENDS = SDF.replace("$$$$\n", "")
NO_BLANKS = SDF.replace("\n\n$$$$", "\n$$$$")
V3000 = Chem.MolToV3KMolBlock(Chem.MolFromSmiles("NCc1ccccc1"))
WORKBOOK = zipped(**{"[Content_Types]_xml": "<Types/>", "xl__workbook_xml": "<workbook/>"})

CASES = [
    # Found by trying what people send.
    Case("SDF records without ends", "a.sdf", NO_ENDS, TWO, [5.5, 6.0],
         names=["ethanol", "amine"], options={"score_column": "pIC50"}),
    Case("SDF end missing before V3000", "a.sdf", block("CCO").replace("$$$$\n", "") + V3000,
         ["CCO", "NCc1ccccc1"]),
    Case("SDF properties without blank lines", "a.sdf", NO_BLANKS.replace("NO", "V2000"), TWO,
         [5.5, 6.0], options={"score_column": "pIC50"}),
    Case("SDF cut within a property", "a.sdf", block("CCO") + block("CCN") + block("CCC")[:60],
         TWO, rejected={49: NO}),
    Case("two columns of scores", "a.csv", "smiles,score,score\nCCO,1,2\n",
         error="2 columns 'score', which are numbers 2 and 3", options=SCORED),
    Case("two columns of scores by number", "a.csv", "smiles,score,score\nCCO,1,2\nCCN,3,4\n", TWO,
         [2.0, 4.0], options={"score_column": "3"}),
    Case("two columns of SMILES", "a.csv", "SMILES,id,Smiles\nCCO,a,CCC\n",
         error="2 columns 'smiles'"),
    Case("columns that differ in case", "a.csv",
         "SMILES,smiles,Score,score\nC,CCO,9,1\nC,CCN,9,2\n", TWO, [1.0, 2.0], options=SCORED),
    Case("names with blanks between tabs", "a.tsv",
         "Compound ID\tSmiles\tActivity value (nM)\nA 1\tCCO\t1\nA 2\tCCN\t2\n", TWO, [1.0, 2.0],
         names=["A 1", "A 2"], options={"score_column": "activity value (nm)"}),
    Case("quoted lines", "a.smi", '"CCO"\n\'CCN\' amine\n"CCC\n', TWO, names=["", "amine"],
         rejected={3: NO}),
    Case("JSON records", "a.json", '[{"smiles": "CCO"}]\n', error="a JSON file"),
    Case("JSON on lines of their own", "a.json", '[\n  {"smiles": "CCO"}\n]\n',
         error="a JSON file"),
    Case("spreadsheet", "a.xlsx", WORKBOOK, error="an Excel workbook"),
    Case("units and percent", "a.csv",
         "smiles,score\nCCO,5 nM\nCCC,50%\nCCCC,>10 uM\nCCCCC,\nCCN,2\nCCS,NA\n", ["CCN"], [2.0],
         rejected=dict.fromkeys((2, 3, 4, 5, 7), NO_SCORE), options=SCORED),
    Case("deuterium", "a.smi", "[2H]C([2H])([2H])O\n[D]C\nCCO.[2H]O[2H]\n",
         ["CO", "CCO"], rejected={2: NO}, options={"standardize": True}),
    # One SMILES per line.
    Case("plain", "a.smi", LIST, TWO, names=["ethanol", "amine"]),
    Case("no end of line", "a.smi", "CCO\nCCN", TWO),
    Case("carriage returns", "a.smi", "CCO\rCCN\r", TWO),
    Case("windows", "a.smi", "CCO\r\n\r\nCCN\r\n", TWO),
    Case("other separators are text", "a.smi", "CCO a\u2028b\x0bc\nCCN\n", TWO),
    Case("blank lines", "a.smi", "\n\nCCO\n \t\nCCN\n\n", TWO),
    Case("comments", "a.smi", "# made by hand\nCCO\n# CCC\nCCN\n", TWO),
    Case("tabs and names with blanks", "a.smi", "CCO\tethyl alcohol \nCCN\n", TWO,
         names=["ethyl alcohol", ""]),
    Case("leading blanks", "a.txt", "  CCO one\n\tCCN two\n", TWO, names=["one", "two"]),
    Case("no molecule", "a.smi", "CCO\nfoo\nC(\nCCN\n", TWO, rejected={2: NO, 3: NO}),
    Case("duplicates", "a.smi", "CCO\nOCC\nCCN\nC(O)C x\n", TWO, duplicates=(2, 4)),
    Case("stereoisomers", "a.smi", "C[C@H](F)Cl\nC[C@@H](F)Cl\nF/C=C/F\nF/C=C\\F\n",
         ["CC(F)Cl", "FC=CF"], duplicates=(2, 4)),
    Case("ids first", "a.smi", ROMAN, ["CCCC", "CCO", BENZENE], names=["I", "II", "III"]),
    Case("one id first", "a.smi", "I\tCCCC\n", ["CCCC"], names=["I"]),
    Case("codes first", "a.smi", "CHEMBL1 CCO x\nCHEMBL2 CCCN y\n", ["CCO", "CCCN"],
         names=["CHEMBL1 x", "CHEMBL2 y"]),
    Case("names that are SMILES", "a.smi", "c1ccccc1 CNS\nCC(=O)O CO\n", [BENZENE, ACID],
         names=["CNS", "CO"]),
    Case("a bad line with a good name", "a.smi", "C1CC NO\n", error="no molecule in"),
    Case("extensions", "a.smi", "CCO |$;;R$| named\nC[C@H](F)Cl |&1:1|\nC |^1:0|\n"
         "CC |Sg:n:0:n:ht|\nCCN |x\n", ["CCO", "CC(F)Cl", "CCN"], names=["named", "", "|x"],
         rejected={3: RADICAL, 4: "polymers"}),
    Case("wildcards and reactions", "a.smi", "C*\nCCO\nCC>>CO\nCCN\nInChI=1S/CH4/h1H4\nCCC\nCCCC\n",
         ["CCO", "CCN", "CCC", "CCCC"], rejected={1: "wildcard atoms", 3: NO, 5: NO}),
    Case("a reaction first", "a.smi", "CC>>CO\nCCO\n", ["CCO"], rejected={1: NO}),
    Case("reactions first", "a.smi", "CC>>CO\n" * 120 + "CCO\n", ["CCO"],
         rejected=dict.fromkeys(range(1, 121), NO)),
    Case("nothing but reactions", "a.smi", "CC>>CO\nno molecule\n",
         error="a.smi holds no SMILES, but a reaction"),
    Case("no heavy atoms", "a.smi", "[H][H]\n[H+]\n[H]O[H]\n[2H]O[2H]\n", ["O"],
         rejected={1: "no heavy atom", 2: "no heavy atom", 4: ISOTOPE}),
    Case("explicit hydrogens", "a.smi", "[H]C([H])([H])O\n[H]c1c([H])c([H])c([H])c([H])c1[H]\n",
         ["CO", BENZENE]),
    Case("too long to read", "a.smi", "C" * 100_000 + "\nCCO\n", ["CCO"],
         rejected={1: "too many heavy atoms"}),
    Case("a long salt", "a.smi", "CCO." + "C" * 50 + "\nCCO\n", ["CCO"], rejected={1: SALT}),
    Case("limited", "a.smi", "CCO\nCCCCCC\n", ["CCO"], rejected={2: "too many heavy atoms"},
         options={"max_heavy_atoms": 3}),
    Case("zero bytes", "a.smi", "CCO\nCC\0N\n" + "C" * 500 + "\n", ["CCO", "C" * 500],
         rejected={2: NO}),
    # Encodings and compressions.
    Case("byte order mark", "a.smi", "\ufeffCCO é\nCCN\n", TWO, names=["é", ""]),
    Case("UTF-16", "a.csv", TABLE.encode("utf-16"), TWO, [1, 2], options=SCORED),
    Case("UTF-16 without a mark", "a.csv", TABLE.encode("utf-16-le"), TWO, [1, 2], options=SCORED),
    Case("UTF-32", "a.smi", LIST.encode("utf-32"), TWO),
    Case("Latin-1", "a.smi", "CCO caf\xe9\nCCN\n".encode("latin-1"), TWO, names=["café", ""]),
    Case("gzip", "a.csv.gz", gzip.compress(TABLE.encode()), TWO, [1, 2], options=SCORED),
    Case("gzip in two parts", "a.smi.gz", gzip.compress(b"CCO\n") + gzip.compress(b"CCN\n"), TWO),
    Case("gzip without its name", "a.smi", gzip.compress(LIST.encode()), TWO),
    Case("bzip2", "a.smi.bz2", bz2.compress(LIST.encode()), TWO),
    Case("xz", "a.csv.xz", lzma.compress(TABLE.encode()), TWO, [1, 2], options=SCORED),
    Case("zip", "a.zip", zipped(a_csv=TABLE), TWO, [1, 2], options=SCORED),
    Case("zip of a Mac", "a.zip", zipped(a_smi=LIST, __MACOSX___a_smi="x"), TWO),
    Case("zip of two", "a.zip", zipped(a_smi=LIST, b_smi=LIST), error=r"holds 2 files \(a.smi, b"),
    Case("cut gzip", "a.smi.gz", gzip.compress(LIST.encode() * 99)[:-9], error="is damaged"),
    Case("cut UTF-16", "a.smi", LIST.encode("utf-16")[:-1], error="is damaged"),
    # Files that are something else.
    Case("workbook", "a.csv", zipped(xl__workbook_xml="x", b_xml="y"), error="an Excel workbook"),
    Case("pickle", "a.smi", b"\x80\x04\x95abc", error="is a pickle"),
    Case("PDF", "a.smi", b"%PDF-1.4 x", error="is a PDF"),
    Case("picture", "a.smi", b"\x89PNG\r\n", error="is a picture"),
    Case("noise", "a.smi", bytes(range(1, 255)), error="holds no text"),
    Case("web page", "a.smi", "<!DOCTYPE html>\n<html>", error="is a web page"),
    Case("FASTA", "a.smi", ">sp|P1\nMKV\n", error="is a FASTA file"),
    Case("MOL2", "a.smi", "# x\n@<TRIPOS>MOLECULE\n", error="is a MOL2 file"),
    Case("PDB", "a.smi", "HEADER x\nATOM      1  N   MET\n", error="is a PDB file"),
    Case("Git LFS", "a.smi", "version https://git-lfs.github.com/spec/v1\n", error="Git LFS"),
    Case("SELFIES", "a.smi", "[C][C][O]\n[C][=C][Branch1][C][O]\n", error="but SELFIES: convert"),
    Case("SELFIES in a table", "a.csv", "smiles,x\n[C][C][O],1\n[C][=C],2\n", error="but SELFIES"),
    Case("brackets that are SMILES", "a.smi", "[CH3][CH2][OH]\n[CH3][NH2]\n", ["CCO", "CN"]),
    Case("InChI", "a.txt", "InChI=1S/CH4/h1H4\nInChI=1S/H2O/h1H2\n", error="but InChI: convert"),
    Case("empty", "a.smi", "", error="is empty"),
    Case("blank", "a.csv", "\n \n\n", error="is empty"),
    # SDF.
    Case("SDF", "a.sdf", SDF, TWO, names=["ethanol", "amine"]),
    Case("SDF by its content", "a.txt", SDF, TWO, [5.5, 6], options={"score_column": "pic50"}),
    Case("packed SDF", "a.sdf.gz", gzip.compress(SDF.replace("\n", "\r\n").encode()), TWO),
    Case("MOL", "a.mol", block("CCO", "ethanol").partition("$$$$")[0], ["CCO"], names=["ethanol"]),
    Case("bad SDF record", "a.sdf", block("CCO") + BAD_BLOCK + block("CCN"), TWO,
         rejected={block("CCO").count("\n") + 1: NO}),
    Case("empty SDF record", "a.sdf", block("CCO") + block(""), ["CCO"],
         rejected={block("CCO").count("\n") + 1: NO}),
    Case("SDF without the property", "a.sdf", block("CCO", y=1) + block("CCN"), ["CCO"], [1],
         rejected={block("CCO", y=1).count("\n") + 1: NO_SCORE}, options={"score_column": "y"}),
    Case("SDF without such a property", "a.sdf", SDF, error="its properties are pIC50, note",
         options={"score_column": "dock"}),
    Case("SMILES in an SDF property", "a.sdf", block("C", s="CCO") + block("C", s="CCN"), TWO,
         options={"column": "s"}),
    # Tables.
    Case("table", "a.csv", TABLE, TWO, [1, 2], names=["A", "B"], options=SCORED),
    Case("semicolons", "a.csv", TABLE.replace(",", ";"), TWO, [1, 2], options=SCORED),
    Case("tabs", "a.tsv", TABLE.replace(",", "\t"), TWO, [1, 2], options=SCORED),
    Case("bars", "a.csv", TABLE.replace(",", "|"), TWO, [1, 2], options=SCORED),
    Case("a table in .smi", "a.smi", TABLE.replace(",", "\t"), TWO, [1, 2], options=SCORED),
    Case("blanks in .txt", "a.txt", "SMILES  Name\nCCO ethyl alcohol\nCCN amine\n", TWO),
    Case("a header in .smi", "a.smi", "#SMILES\tID\nCCO\tA\nCCN\tB\n", TWO, names=["A", "B"]),
    Case("a title alone", "a.smi", "SMILES\nCCO\nCCN\n", TWO),
    Case("a column is not ignored", "a.smi", LIST, error="no column 'docking'",
         options={"column": "docking"}),
    Case("delimiter", "a.csv", "smiles#score\nCCO#1\nCCN#2\n", TWO, [1, 2],
         options={"delimiter": "#", **SCORED}),
    Case("delimiter by name", "a.txt", "x\tsmiles\n1,5\tCCO\n2,5\tCCN\n", TWO,
         options={"delimiter": "tab"}),
    Case("bad delimiter", "a.csv", TABLE, error="separates no columns",
         options={"delimiter": "ab"}),
    Case("no header", "a.csv", "A,CCO,1\nB,CCN,2\n", TWO, [1, 2],
         options={"column": "2", "score_column": "3"}),
    Case("no header and no number", "a.csv", "CCO,1\nCCN,2\n", error="must name the columns"),
    Case("scores after SMILES", "a.smi", "CCO 1.5 x\nCCN 2\n", TWO, [1.5, 2],
         options={"score_column": "2"}),
    Case("commas in .smi", "a.smi", "CCO,alcohol\nCCN,amine\n", TWO, names=["alcohol", "amine"]),
    Case("leading blank line", "a.csv", "\n\n" + TABLE, TWO, [1, 2], options=SCORED),
    Case("sep=", "a.csv", "sep=;\nsmiles;score\nCCO;1,5\nCCN;2\n", TWO, [1.5, 2], options=SCORED),
    Case("sep= a tab", "a.csv", "sep=\t\nsmiles\tscore\nCCO\t1,5\nCCN\t2\n", TWO, [1.5, 2],
         options=SCORED),
    Case("preamble", "a.csv", "# from a laboratory\n# 2026, twice\n" + TABLE, TWO, [1, 2],
         options=SCORED),
    Case("text before the header", "a.csv", "Report of May\n\n" + TABLE, TWO, [1, 2],
         options=SCORED),
    Case("comment within", "a.csv", TABLE + "# end\n", TWO, [1, 2], options=SCORED),
    Case("names of R", "a.tsv", "smiles\tscore\n1\tCCO\t1\n2\tCCN\t2\n", TWO, [1, 2],
         options=SCORED),
    Case("quoted by R", "a.txt", '"smiles" "score"\n"1" "CCO" 1\n"2" "CCN" 2\n', TWO, [1, 2],
         options=SCORED),
    Case("fewer names than columns", "a.csv", "smiles,score\nCCO,1,x,y\nCCN,2,z,w\n", TWO, [1, 2],
         options=SCORED),
    Case("trailing delimiters", "a.csv", "smiles,score,\nCCO,1,\nCCN,2,\n", TWO, [1, 2],
         options=SCORED),
    Case("short rows", "a.csv", "id,smiles,score\nA,CCO,1\nB\nC,CCN\nD,,4\n", ["CCO"], [1],
         rejected={3: NO_CELL, 4: NO_SCORE, 5: NO_CELL}, options=SCORED),
    Case("a comma too many", "a.csv", "smiles,name,score\nCCO,a,1\nCCN,b, c,2\nCCC,d,3\n",
         ["CCO", "CCC"], [1, 3], rejected={3: FIELDS}, options=SCORED),
    Case("a lone mark", "a.tsv", 'smiles\tname\nCCO\t"x\nCCN\ty\nCCC\tz\n', ["CCO", "CCN", "CCC"],
         names=['"x', "y", "z"]),
    Case("two lone marks", "a.tsv", 'smiles\tname\nCCO\t"x\nCCN\ty\nCCC\tz"\n',
         ["CCO", "CCN", "CCC"], names=['"x', "y", 'z"']),
    Case("inches", "a.csv", 'smiles,name\nCCO,2" pipe\nCCN,5" pipe\n', TWO,
         names=['2" pipe', '5" pipe']),
    Case("text in quotes", "a.csv", 'smiles,name\nCCO,"a ""b"", c"\n"CCN",d\n', TWO,
         names=['a "b", c', "d"]),
    Case("ZINC's newlines", "a.csv", 'smiles,logP\n"CCO\n",1\n"CCN\n",2\n', TWO, [1, 2],
         options={"score_column": "logp"}),
    Case("a note of three lines", "a.csv", 'note,smiles,score\n"one\n\ntwo",CCO,1\nx,CCN,2\n', TWO,
         [1, 2], options=SCORED),
    Case("extension in a cell", "a.csv", 'smiles,x\nCCO |$;;R$|,1\n"CCN |$A,B;;$|",2\n', TWO),
    Case("extension among blanks", "a.txt", "smiles score\nCCO |$;;R$| 1\nCCN 2\n", TWO, [1, 2],
         options=SCORED),
    Case("canonical_smiles", "a.csv", "id,Canonical_SMILES\n1,CCO\n2,CCN\n", TWO),
    Case("two kinds of SMILES", "a.csv", "CanonicalSMILES,IsomericSMILES\nCCO,CCO\n",
         error="give one of CanonicalSMILES, IsomericSMILES as column"),
    # Scores.
    Case("no numbers", "a.csv", "smiles,score\nC,1e39\nCC,1_000\nCCO,-1e3\nCCC,nan\nN,inf\nO,>5\n"
         "CO,\nCN,٣\nCCN,.5\n", TWO, [-1000, 0.5], rejected=dict.fromkeys([2, 3, 5, 6, 7, 8, 9],
         NO_SCORE), options=SCORED),
    Case("decimal commas", "a.csv", "smiles;score\nCCO;5,3\nCCN;1,000\n", TWO, [5.3, 1],
         options=SCORED),
    Case("thousands or decimals", "a.csv", "smiles;score\nCCO;5.3\nCCN;1,000\nC;1,5\n", ["CCO"],
         [5.3], rejected={3: NO_SCORE, 4: NO_SCORE}, options=SCORED),
    Case("no column of scores", "a.csv", TABLE, error="no column 'dock': give one of id, smiles",
         options={"score_column": "dock"}),
    # Replicates.
    Case("mean", "a.csv", REPLICATES, TWO, [3, 3], duplicates=(3, 4, 6), options=SCORED),
    Case("median", "a.csv", REPLICATES, TWO, [2, 3], duplicates=(3, 4, 6),
         options={**SCORED, "replicates": "median"}),
    Case("best", "a.csv", REPLICATES, TWO, [6, 3], duplicates=(3, 4, 6),
         options={**SCORED, "replicates": "best"}),
    Case("best of minimised", "a.csv", REPLICATES, TWO, [1, 3], duplicates=(3, 4, 6),
         options={**SCORED, "replicates": "best", "minimize": True}),
    Case("refuse", "a.csv", REPLICATES, error="1 molecules have different scores",
         options={**SCORED, "replicates": "refuse"}),
    Case("stereoisomers with scores", "a.csv", ALANINE, ["CC(N)C(=O)O", "CCO"], [7, 1],
         duplicates=(3,), options=SCORED),
    Case("a bad score is no replicate", "a.csv", "smiles,score\nCCO,1\nCCO,x\nCCN,2\n", TWO, [1, 2],
         rejected={3: NO_SCORE}, options=SCORED),
    # Standard forms.
    Case("strict", "a.csv", SALTS, ["CC(=O)[O][Na]", "C[N+](C)(C)CC(=O)[O-]", PLATIN],
         rejected={2: SALT, 3: SALT, 4: MAPS, 5: ISOTOPE, 8: SALT, 10: RADICAL}),
    Case("standardised", "a.csv", SALTS, [ACID, "CN", "CO", "CCO", "C[N+](C)(C)CC(=O)[O-]",
         PLATIN], rejected={10: RADICAL}, duplicates=(6, 8), options={"standardize": True}),
]  # fmt: skip
